"""MCRL: a recommender that also learns what a choice is worth in the long run, beside any of the other networks.

Our reading of Li et al., "Model-enhanced Contrastive Reinforcement Learning for Sequential Recommendation" (2023,
arXiv 2310.16566), whose code is not public: what its abstract leaves open follows the public code of the family it extends
(SQN, SNQN; Xin et al., SIGIR 2020 and WSDM 2022), the rest is ours. With z the state of a history s, a the item chosen next,
r its reward, s' the history with a, E the rows that are read, all learned together on every event of the training data:

    logits = z·W_s + b_s                    the supervised head, by which histories are answered unless asked otherwise
    Q(s, ·) = z·W_q + b_q                   the value head: the sum of the rewards to come, each worth γ of the one before
    ρ(s, a) = <U z, E_a> / τ                the reward head: high for items chosen after s, more so for those of high reward
    ẑ' = W_2·relu(W_1·[z, E_a])             the transition head: the state after a

With a shared head logits and Q are scored against E: logits = z·Eᵀ, Q = (W_q z + b_q)·Eᵀ. The losses stand in
`reinforcement.py`. There are two whole networks, A and B: a step trains one of them, drawn by lot, on targets that the other
values. A is evaluated and kept, B is its `twin`. Without the value term nobody needs B, and every step
trains A. Dropout is at work while targets are computed, as in the family's code. Where its networks differ (the GRU's cell, no
LayerNorm inside SASRec's feed-forward) these are ours, and its weights do not fit them.
"""

import torch
from torch import Tensor, nn

from ..batches import Batch
from ..loss import full_softmax
from ..options import Options
from ..reinforcement import blended, reward_contrast, targets_of, transition_contrast
from .caser import Caser
from .gru4rec import GRU4Rec
from .network import Network, Shape
from .nextitnet import NextItNet
from .sasrec import SASRec

TERMS = ("value", "conservative", "reward", "transition")
"""The four ingredients, each with a weight among the options; 0 leaves it out."""
WRONG = 10
"""The transition head is shown so many wrong actions beside the right one."""


class MCRL(Network):
    """The heads; the network that comes after it in the order of inheritance gives the states."""

    draws_rows = True

    @classmethod
    def chosen(cls, shape: Shape, options: Options) -> Network:
        return BACKBONES[options.backbone](shape, options.dropout, options)

    def __init__(self, shape: Shape, dropout: float = 0.0, options: Options | None = None):
        super().__init__(shape, dropout)
        self.options = options or Options.chosen("mcrl")
        self.by, self.weight = self.options.by, self.options.blend
        read, state = shape.width, self.scored.shape[1]
        self.value = nn.Linear(state, read if self.head is None else shape.items)
        self.reward = nn.Linear(state, read, bias=False)
        self.transition = nn.Sequential(nn.Linear(state + read, read), nn.ReLU(), nn.Linear(read, state))
        self.twin: MCRL | None = None

    @property
    def title(self) -> str:
        """What is below, which terms are left out, and what ranks unless it is the logits."""
        below, left_out = type(self).__bases__[1].__name__, [term for term in TERMS if not getattr(self.options, term)]
        if left_out == list(TERMS):
            return f"{below} alone"
        without = f" without {' and '.join(left_out)}" if left_out else ""
        return f"MCRL of {below}{without}" + {"logits": "", "q": ", by Q", "blend": f", by a blend of {self.weight} Q"}[self.by]

    @property
    def valued(self) -> bool:
        """Whether Q is learned."""
        return bool(self.options.value or self.options.conservative)

    def start(self, scale: float) -> None:
        super().start(scale)
        if self.options.value:
            self.twin = type(self)(self.shape, self.options.dropout, self.options)
            super(MCRL, self.twin).start(scale)

    def copies(self) -> list[Network]:
        return [self] if self.twin is None else [self, self.twin]

    def query(self, states: Tensor) -> Tensor:
        """What the value rows are scored by, [B, q]: `Q = query · row`, plus the bias if there is one."""
        return self.value(states) if self.head is None else states

    @property
    def value_rows(self) -> Tensor:
        return self.table if self.head is None else self.value.weight

    @property
    def value_bias(self) -> Tensor | None:
        return None if self.head is None else self.value.bias

    def values(self, states: Tensor) -> Tensor:
        """Q of every item, [B, N]."""
        return self.value(states) @ self.table.T if self.head is None else self.value(states)

    def values_of(self, states: Tensor, items: Tensor) -> Tensor:
        """Q of these items alone, [B] for items [B], [B, K] for [B, K]."""
        rows = self.items(items) if self.head is None else self.value.weight[items]
        found = torch.einsum("b...q,bq->b...", rows, self.query(states))
        return found if self.value_bias is None else found + self.value_bias[items]

    def answers(self, histories: Tensor, lengths: Tensor, seeds=None, unranked: Tensor | None = None) -> Tensor:
        """By the `logits`, by `q`, or by a `blend` of the two (`reinforcement.blended`)."""
        states = self(histories, lengths)
        if self.by == "logits":
            return self.scores(states)
        values = self.values(states)
        return values if self.by == "q" else blended(self.scores(states), values, self.weight, unranked)

    def loss(self, batch: Batch, cold: Tensor, seen: str) -> Tensor:
        """The sum of the terms that have a weight, of the network that the lot falls on."""
        if self.twin is None or torch.rand(()) < 0.5:
            return self.own_loss(self.twin, batch, cold, seen)
        return self.twin.own_loss(self, batch, cold, seen)

    def own_loss(self, other: "MCRL | None", batch: Batch, cold: Tensor, seen: str) -> Tensor:
        """`other` values what comes after. An event without reward was shown and not chosen: it is no positive."""
        terms, weights, actions = self.options, batch.weights / batch.weights.sum(), batch.targets
        states = self(batch.histories, batch.lengths)
        scored = self.scored
        valued = scored if self.head is None else self.value_rows
        chosen, loss = weights * (batch.rewards > 0), states.new_zeros(())
        if chosen.any():
            histories = batch.histories
            had = histories.where(histories < self.shape.items, actions[:, None]) if seen == "exclude" else None
            loss = full_softmax(states, scored, self.bias, actions, chosen, cold, had)
        if terms.conservative:
            heat, bias = terms.temperature, self.value_bias
            bias = None if bias is None else bias / heat
            rivals = full_softmax(self.query(states) / heat, valued, bias, actions, weights, cold)
            loss = loss + terms.conservative * heat * rivals
        if terms.reward:
            scores = self.reward(states) @ self.items(actions).T / terms.sharpness
            loss = loss + terms.reward * (weights * batch.rewards * reward_contrast(scores, actions)).sum()
        if not (terms.value or terms.transition):
            return loss
        after = followed(batch.histories, batch.lengths, actions, self.shape)
        with torch.no_grad():
            next_states = self(*after)
        if terms.value:
            loss = loss + terms.value * (weights * self.errors(other, batch, states, next_states, after, cold)).sum()
        if terms.transition:
            wrong = others(actions, WRONG, cold)
            right, wrong = self.moved(states, actions), self.moved(states[:, None].expand(-1, WRONG, -1), wrong)
            contrast = transition_contrast(right, wrong, next_states, terms.sharpness)
            loss = loss + terms.transition * (weights * contrast).sum()
        return loss

    def moved(self, states: Tensor, items: Tensor) -> Tensor:
        """The states predicted after these items, [..., e]."""
        return self.transition(torch.cat([states, self.items(items)], -1))

    def errors(self, other: "MCRL", batch: Batch, states: Tensor, next_states: Tensor, after: tuple, cold: Tensor) -> Tensor:
        """`½ (y − Q(s, a))²`, and the same for `negatives` items that were not chosen, which lead nowhere; summed, [B]."""
        discount, negatives = self.options.discount, self.options.negatives
        with torch.no_grad():
            ahead = other.values_of(other(*after), self.best(next_states, cold))
            wanted = targets_of(batch.rewards, batch.done, ahead, discount)[:, None]
        items = batch.targets[:, None]
        if negatives:
            with torch.no_grad():
                stay = other.values_of(other(batch.histories, batch.lengths), self.best(states, cold))
            items = torch.cat([items, others(batch.targets, negatives, cold)], 1)
            wanted = torch.cat([wanted, (discount * stay)[:, None].expand(-1, negatives)], 1)
        return ((wanted - self.values_of(states, items)) ** 2).sum(1) / 2

    def best(self, states: Tensor, cold: Tensor) -> Tensor:
        """The items of the highest Q, the lower of equals, [B]."""
        return self.values(states).masked_fill_(cold, -torch.inf).argmax(1)


class MCRLGRU4Rec(MCRL, GRU4Rec):
    """MCRL over GRU4Rec."""


class MCRLCaser(MCRL, Caser):
    """MCRL over Caser."""


class MCRLNextItNet(MCRL, NextItNet):
    """MCRL over NextItNet."""


class MCRLSASRec(MCRL, SASRec):
    """MCRL over SASRec."""


BACKBONES: dict[str, type[MCRL]] = {"gru4rec": MCRLGRU4Rec, "caser": MCRLCaser, "nextitnet": MCRLNextItNet, "sasrec": MCRLSASRec}
"""What can stand below the heads."""


def followed(histories: Tensor, lengths: Tensor, items: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """Each history with an item at its end, the oldest gone where the window was full, and its length."""
    longer = torch.cat([histories, histories.new_full((len(histories), 1), shape.items)], 1)
    longer = longer.scatter(1, lengths[:, None], items[:, None])
    full = (lengths == shape.window).long()
    place = torch.arange(min(longer.shape[1], shape.window), device=items.device) + full[:, None]
    return longer.gather(1, place.clamp(max=longer.shape[1] - 1)), lengths + 1 - full


def others(items: Tensor, count: int, cold: Tensor) -> Tensor:
    """Draws of items that are neither the given one nor cold, all alike; [B, count]."""
    warm = torch.nonzero(~cold)[:, 0]
    place = torch.searchsorted(warm, items)[:, None]
    drawn = torch.randint(len(warm) - 1, (len(items), count), device=items.device)
    return warm[drawn + (drawn >= place)]
