"""SASRec: self-attention over the items a person chose.

Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018 (arXiv 1808.09781), in the form of DreamRec's
guidance encoder (Yang et al., NeurIPS 2023, arXiv 2310.20453). With item rows E, positions Pos and mask m:

    s = (E[seq] + Pos) · m
    n = LN1(s);  Q = n·Wq + bq;  K = s·Wk + bk;  V = s·Wv + bv       queries from the normalised rows only
    y = softmax(causal(Q·Kᵀ / √d))·V + n                             the residual is the normalised input
    z = LN2(y)
    s ← LN_ff(W2·relu(W1·z + b1) + b2 + z) · m                       once per block
    o = LN3(s);  the state is o[length − 1]

Where it differs from the authors' code: the masks come from the length alone (their sign-of-a-sum trick gives the same
once trained), and any number of blocks may be stacked.
"""

from math import sqrt

import torch
from torch import Tensor, nn

from .network import Network, Shape

MASKED = -(2.0**32) + 1


class Block(nn.Module):
    """One attention block; both dropouts inside it are the authors' (attention weights, feed-forward output)."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.norm_1 = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.norm_2 = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        self.norm_ff = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, s: Tensor, attends: Tensor, queries: Tensor | None = None) -> Tensor:
        """`s` [B, L, d]; `attends` bool [B, L, L]: whether a position looks at another.

        For `queries` [B, Q, d], rows of `s` that alone are asked for, it is [B, Q, L].
        """
        n = self.norm_1(s if queries is None else queries)
        logits = self.query(n) @ self.key(s).transpose(1, 2) / sqrt(s.shape[-1])
        attention = logits.masked_fill(~attends, MASKED).softmax(-1)
        y = self.dropout(attention) @ self.value(s) + n
        z = self.norm_2(y)
        return self.norm_ff(self.dropout(self.outer(self.inner(z).relu())) + z)


class SASRec(Network):
    """Item rows, positions and blocks. An empty history's state is LN3's bias."""

    def __init__(self, shape: Shape, dropout: float = 0.0):
        super().__init__(shape, shape.width)
        self.positions = nn.Embedding(shape.window, shape.width)
        self.blocks = nn.ModuleList(Block(shape.width, dropout) for _ in range(shape.blocks))
        self.norm_3 = nn.LayerNorm(shape.width)
        self.dropout = nn.Dropout(dropout)

    @property
    def empty(self) -> Tensor:
        """−Pos[0]: with its position it adds up to the zeros of a masked row."""
        return -self.positions.weight[0]

    def start(self, scale: float) -> None:
        super().start(scale)
        nn.init.normal_(self.positions.weight, std=scale)

    def states(self, histories: Tensor, lengths: Tensor) -> Tensor:
        place = torch.arange(histories.shape[1], device=histories.device)
        real = place < lengths[:, None]
        mask = real[:, :, None].float()
        attends = (place[:, None] >= place) & real[:, None, :]
        s = self.dropout(self.items(histories) + self.positions(place)) * mask
        for block in self.blocks:
            s = block(s, attends) * mask
        return self.norm_3(s)
