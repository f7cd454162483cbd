"""Caser: convolutions over the window as over a picture.

Tang and Wang, "Personalized Top-N Sequential Recommendation via Convolutional Sequence Embedding", WSDM 2018
(arXiv 1809.07426), without its table of users, in LLaRA's sizes. The window X [L, d] holds the last L items, oldest first,
zeros behind them:

    o_h = max over t of relu(F_h ∗ X[t … t+h−1] + c_h)        16 filters of each height h = 2, 3, 4
    v   = relu(Σ_t w_t·X[t] + b)                              one vertical filter over the L rows
    the state is [o_2, o_3, o_4, v], 48 + d wide; items are scored by rows of their own with a bias

The filters see the zeros, so a short window is not the same as a long one cut off.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from .network import Network, Shape

HEIGHTS = (2, 3, 4)
FILTERS = 16


class Caser(Network):
    """Item rows, filters and a head."""

    fixed = True
    slides = True

    def __init__(self, shape: Shape, dropout: float = 0.0):
        super().__init__(replace(shape, separate=True), len(HEIGHTS) * FILTERS + shape.width)
        self.horizontal = nn.ModuleList(nn.Conv1d(shape.width, FILTERS, height) for height in HEIGHTS)
        self.vertical = nn.Linear(shape.window, 1)
        self.dropout = nn.Dropout(dropout)

    def start(self, scale: float) -> None:
        """The authors' start: filters from a normal distribution cut at two deviations of 0.1, their biases 0.1."""
        super().start(scale)
        for layer in (*self.horizontal, self.vertical):
            nn.init.trunc_normal_(layer.weight, std=0.1, a=-0.2, b=0.2)
            nn.init.constant_(layer.bias, 0.1)

    def states(self, histories: Tensor, lengths: Tensor) -> Tensor:
        batch, longest = histories.shape
        place = torch.arange(longest, device=histories.device)[:, None]
        step = torch.arange(self.shape.window, device=histories.device)
        index = (place - self.shape.window + 1).clamp(min=0) + step
        real = (index <= place) & (index < lengths[:, None, None])
        seen = histories[:, index.clamp(max=longest - 1)].where(real, self.shape.items)
        x = self.items(seen).flatten(0, 1) * real.flatten(0, 1)[:, :, None]
        return self.windows(x).unflatten(0, (batch, longest))

    def windows(self, x: Tensor) -> Tensor:
        """The states [n, 48 + d] of windows [n, L, d]."""
        columns = x.transpose(1, 2)
        pooled = [layer(columns).relu().amax(2) for layer in self.horizontal]
        return self.dropout(torch.cat([*pooled, self.vertical(columns).squeeze(2).relu()], 1))
