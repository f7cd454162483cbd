"""DreamRec: the ideal next item, dreamt by a diffusion model that the history guides.

Yang et al., "Generate What You Prefer: Reshaping Sequential Recommendation via Guided Diffusion", NeurIPS 2023
(arXiv 2310.20453). The state h of a history is that of SASRec with one block; x_0 = E[next item], and with probability p
the condition c is the learned vector φ instead of h:

    loss = mean of (x_0 − f(x_t, c, t))²        x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε, t uniform, ε ~ N(0, I)

The gradient reaches E[next item] too, and nothing keeps the rows apart: by this loss alone they all come together. With
`contrast` λ > 0, which is ours, the rows are measured in units of their root mean square, so that x_0 is as large as ε, and
a softmax over all items joins in, of what is predicted from fresh noise ε' alone: only the history can tell it the item.
(Predicted from x_t, it would teach f to read the item off x_t, and the chain, where there is none to read, to run away.)

    loss + λ · mean of −log softmax(E·f(ε', c, t) / √d)[next item]

The chain of `diffusion.py` then turns noise into the oracle x with

    x̂_0 = (1 + w)·f(x, h, t) − w·f(x, φ, t)     for an affine f one pass with c' = (1 + w)·h − w·φ

and items are ranked by x · E[i]. Where it differs from the authors' code: dropout is off when histories are answered, masks
come from the length alone, and the padding row does not rank.
"""

from math import sqrt

import numpy as np
import torch
from torch import Tensor, nn

from ..batches import Batch
from ..diffusion import Collapse, Schedule
from ..loss import full_softmax
from ..noise import gaussian
from ..options import Options
from .denoiser import Denoiser
from .network import Shape
from .sasrec import SASRec


class DreamRec(SASRec):
    """SASRec's rows, positions and blocks; φ; a denoiser."""

    draws_rows = True
    beyond = ("unconditional", "denoiser.")

    @classmethod
    def chosen(cls, shape: Shape, options: Options) -> "DreamRec":
        schedule = Schedule.of(options.schedule, options.diffusion_steps)
        network = cls(shape, schedule, options.denoiser, options.dropout)
        network.dropped, network.contrast = options.unconditional, options.contrast
        network.guidance, network.draws = options.guidance, options.draws
        return network

    def __init__(self, shape: Shape, schedule: Schedule, denoiser: str = "mlp1", dropout: float = 0.0):
        super().__init__(shape, dropout)
        self.schedule = schedule
        self.register_buffer("signal", torch.tensor(schedule.signal, dtype=torch.float32), persistent=False)
        self.unconditional = nn.Parameter(torch.randn(shape.width))
        self.denoiser = Denoiser(denoiser, shape.width, len(schedule))
        self.dropped, self.contrast = 0.1, 0.0
        self.guidance, self.draws = 2.0, 1

    def forward(self, histories: Tensor, lengths: Tensor) -> Tensor:
        """SASRec's, with the last block asked for the last item only."""
        place = torch.arange(histories.shape[1], device=histories.device)
        real = place < lengths[:, None]
        mask = real[:, :, None].float()
        s = self.dropout(self.items(histories) + self.positions(place)) * mask
        for block in self.blocks[:-1]:
            s = block(s, (place[:, None] >= place) & real[:, None, :]) * mask
        row, last = torch.arange(len(s), device=s.device), (lengths - 1).clamp(min=0)
        newest = self.blocks[-1](s, real[:, None, :], s[row, last][:, None])
        return self.norm_3(newest[:, 0] * mask[row, last])

    def loss(self, batch: Batch, cold: Tensor, seen: str) -> Tensor:
        """The weighted mean of the squared error of x̂_0 over rows and dimensions; with `contrast`, the softmax too."""
        unit = self.table.detach().square().mean().rsqrt() if self.contrast else 1.0
        x_0 = unit * self.items(batch.targets)
        step = torch.randint(len(self.schedule), batch.targets.shape, device=x_0.device)
        signal = self.signal[step][:, None]
        x_t = signal.sqrt() * x_0 + (1 - signal).sqrt() * torch.randn_like(x_0)
        dropped = torch.rand(len(step), 1, device=x_0.device) < self.dropped
        states = self(batch.histories, batch.lengths) if batch.states is None else batch.states
        condition = torch.where(dropped, self.unconditional, states)
        predicted = self.denoiser(x_t, condition, step)
        loss = (batch.weights * (x_0 - predicted).square().mean(1)).sum() / batch.weights.sum()
        if not self.contrast:
            return loss
        blind = self.denoiser(torch.randn_like(x_t), condition, step)
        logits_of = unit / sqrt(self.shape.width) * blind
        had = None if seen == "allow" else batch.histories.where(batch.histories < self.shape.items, batch.targets[:, None])
        return loss + self.contrast * full_softmax(logits_of, self.table, None, batch.targets, batch.weights, cold, had)

    def answers(
        self, histories: Tensor, lengths: Tensor, seeds: np.ndarray | None = None, unranked: Tensor | None = None
    ) -> Tensor:
        """The scores by each draw's oracle, [D, B, N]."""
        states = self(histories, lengths)
        return torch.stack([self.scores(oracle) for oracle in self.oracles(states, seeds)])

    def oracles(self, states: Tensor, seeds: np.ndarray) -> list[Tensor]:
        """The oracle of each draw, [B, d]: by the collapsed chain where the denoiser is affine."""
        steps, width = len(self.schedule), states.shape[1]

        def noise(step: int, draw: int) -> Tensor:
            return torch.tensor(gaussian(seeds, step, draw, width), device=states.device)

        if self.denoiser.affine:
            whole = self.collapse()
            p, q, lower = (states.new_tensor(values) for values in (whole.condition, whole.constant, whole.noise))
            means = self.guided(states) @ p.T + q
            return [means + noise(steps, draw) @ lower.T for draw in range(self.draws)]
        return [self.chain(states, noise(steps, draw), lambda t: noise(t, draw)) for draw in range(self.draws)]

    def guided(self, states: Tensor) -> Tensor:
        """c' = (1 + w)·h − w·φ."""
        return (1 + self.guidance) * states - self.guidance * self.unconditional

    def predict(self, x: Tensor, states: Tensor, t: int) -> Tensor:
        """The guided x̂_0, [B, d]."""
        step = torch.full((len(x),), t, device=x.device)
        alone = self.denoiser(x, self.unconditional.expand_as(states), step)
        return (1 + self.guidance) * self.denoiser(x, states, step) - self.guidance * alone

    def chain(self, states: Tensor, x: Tensor, noise=None, path: list | None = None) -> Tensor:
        """The oracle [B, d] step by step, from the initial noise `x`, by `noise`: t → z."""
        return self.schedule.chain(lambda x, t: self.predict(x, states, t), x, noise, path)

    def collapse(self) -> Collapse:
        """What the chain comes to; of an affine denoiser."""
        return Collapse.of(self.schedule, *(part.detach().cpu().numpy() for part in self.denoiser.split()))
