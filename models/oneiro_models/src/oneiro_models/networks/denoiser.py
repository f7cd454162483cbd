"""DreamRec's denoisers: what the ideal item is, of a noisy one, a history's state and the step.

With the sinusoid of step t, d/2 frequencies exp(−i·ln 10000 / (d/2 − 1)), sines before cosines:

    τ_t = W_b·gelu(W_a·sinusoid(t) + b_a) + b_b                     d → 2d → d, gelu with erf
    f(x, c, t) = W·[x, c, τ_t] + b                                  `mlp1`: one affine layer
    f(x, c, t) = W_2·gelu(W_1·[x, c, τ_t] + b_1) + b_2              `mlp2`: 3d → 2d → d
"""

from math import log

import torch
from torch import Tensor, nn


class Steps(nn.Module):
    """τ of T steps."""

    def __init__(self, width: int, steps: int):
        super().__init__()
        half = width // 2
        frequencies = torch.exp(torch.arange(half) * -(log(10000) / max(half - 1, 1)))
        angles = torch.arange(steps)[:, None] * frequencies
        self.register_buffer("sinusoid", torch.cat([angles.sin(), angles.cos()], 1), persistent=False)
        self.mlp = nn.Sequential(nn.Linear(2 * half, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, step: Tensor) -> Tensor:
        """`step` i64 [B] → τ [B, d]."""
        return self.mlp(self.sinusoid[step])


class Denoiser(nn.Module):
    """f(x, c, t) of steps t = 0 … T−1."""

    def __init__(self, kind: str, width: int, steps: int):
        super().__init__()
        self.affine, self.steps = kind == "mlp1", steps
        self.tau = Steps(width, steps)
        inner = nn.Linear(3 * width, width if self.affine else 2 * width)
        self.layers = nn.Sequential(inner, *([] if self.affine else [nn.GELU(), nn.Linear(2 * width, width)]))

    def forward(self, x: Tensor, condition: Tensor, step: Tensor) -> Tensor:
        """`x`, `condition` [B, d], `step` i64 [B] → x̂_0 [B, d]."""
        return self.layers(torch.cat([x, condition, self.tau(step)], 1))

    def table(self) -> Tensor:
        """τ of every step, [T, d]."""
        return self.tau(torch.arange(self.steps, device=self.layers[0].weight.device))

    def split(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of an affine f the parts W_x [d, d], W_c [d, d] and W_τ·τ_t + b [T, d]."""
        layer = self.layers[0]
        w_x, w_c, w_t = layer.weight.chunk(3, 1)
        return w_x, w_c, self.table() @ w_t.T + layer.bias
