"""The losses of MCRL (`networks/mcrl.py`), of a batch of events (s, a, r, s'), and how Q and other scores are blended.

All in f32. Sums over all items, the supervised and the conservative term, go by `loss.py`:
`α (τ·logsumexp_a(Q(s, a) / τ) − Q(s, a_t))` is ατ times the full softmax of Q/τ.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

CANDIDATES = 200
"""How many items a bundle's recipe retrieves. A blend ranks so many, those with the best logits."""


def targets_of(rewards: Tensor, done: Tensor, ahead: Tensor, discount: float) -> Tensor:
    """`y = r + γ·Q_B(s', argmax_a Q_A(s', a))` with that value `ahead`; nothing comes after the last event."""
    return rewards + discount * ahead.masked_fill(done, 0)


def reward_contrast(scores: Tensor, actions: Tensor) -> Tensor:
    """`−log softmax` of ρ(s_i, a_i) among itself, the same state with the batch's other actions and the same action in the
    batch's other states; [B]. `scores` [B, B]: ρ of state i and action j. Where an action comes twice neither of the two is
    a negative of the other.
    """
    twice = actions[:, None] == actions
    rivals = scores.masked_fill(twice, -torch.inf)
    positive = scores.diagonal()
    return torch.cat([positive[:, None], rivals, rivals.T], 1).logsumexp(1) - positive


def transition_contrast(right: Tensor, wrong: Tensor, after: Tensor, sharpness: float) -> Tensor:
    """`−log softmax` of the cosine of the state predicted for the action taken, `right` [B, e], and the one that came,
    `after` [B, e], over τ; among the states that came in the other rows and those predicted for `wrong` actions [B, K, e].
    """
    right, wrong, after = (normalize(states, dim=-1) for states in (right, wrong, after))
    rows = right @ after.T
    actions = torch.einsum("bke,be->bk", wrong, after)
    place = torch.arange(len(rows), device=rows.device)
    return cross_entropy(torch.cat([rows, actions], 1) / sharpness, place, reduction="none")


def standardised(scores: Tensor, ranked: Tensor) -> Tensor:
    """`(score − mean) / deviation` over each row's `ranked` scores, in f64; zeros where all are equal, and for the others."""
    count = ranked.sum(-1, keepdim=True).clamp(min=1)
    scores = scores.double().masked_fill(~ranked, 0)
    moved = (scores - scores.sum(-1, keepdim=True) / count).masked_fill(~ranked, 0)
    deviation = (moved.square().sum(-1, keepdim=True) / count).sqrt()
    return moved / deviation.where(deviation > 0, 1)


def blended(scores: Tensor, values: Tensor, weight: float, unranked: Tensor | None = None, count: int = CANDIDATES) -> Tensor:
    """`(1 − w)·standardised(score) + w·standardised(Q)` of the `count` best by score in each row [B, N]; −∞ of others."""
    if unranked is not None:
        scores = scores.masked_fill(unranked, -torch.inf)
    best, candidates = scores.topk(min(count, scores.shape[1]), dim=1)
    values = values.gather(1, candidates)
    ranked = best.isfinite() & values.isfinite()
    mixed = (1 - weight) * standardised(best, ranked) + weight * standardised(values, ranked)
    mixed = mixed.to(scores.dtype).masked_fill(~ranked, -torch.inf)
    return torch.full_like(scores, -torch.inf).scatter(1, candidates, mixed)
