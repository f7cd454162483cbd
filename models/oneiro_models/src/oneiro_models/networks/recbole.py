"""SASRec and GRU4Rec as the library RecBole defines them (Zhao et al., CIKM 2021; checked against version 1.2.1).

They are here to read its checkpoints, not to be trained. RecBole's SASRec is BERT's block behind a causal mask:

    x = LN(E[seq] + Pos)                       Pos counts from the oldest item of the window
    y = LN(x + (concat over heads of softmax(causal(q·kᵀ / √(d / heads)))·v)·Wo + bo)
    x ← LN(y + W2·act(W1·y + b1) + b2)         once per layer, act the exact GELU unless the checkpoint says otherwise
    the state is x[length − 1]

Its GRU4Rec has recurrent layers without biases, of a width of their own, and a dense layer back to the rows' width.
Item 0 of RecBole is padding; it is dropped, and an empty history, which RecBole never asks about, is a row of zeros.
"""

from math import sqrt

import torch
from torch import Tensor, nn

from .network import Network, Shape

ACTIVATIONS = {"gelu": nn.functional.gelu, "relu": torch.relu, "swish": nn.functional.silu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


class RecBoleGRU4Rec(Network):
    """Item rows, recurrent layers `hidden` wide, a dense layer."""

    def __init__(self, shape: Shape, hidden: int):
        super().__init__(shape, shape.width)
        self.gru = nn.GRU(shape.width, hidden, shape.blocks, bias=False, batch_first=True)
        self.dense = nn.Linear(hidden, shape.width)

    def states(self, histories: Tensor, lengths: Tensor) -> Tensor:
        return self.dense(self.gru(self.items(histories))[0])


class Layer(nn.Module):
    """One post-norm block."""

    def __init__(self, width: int, inner: int, epsilon: float):
        super().__init__()
        self.query, self.key, self.value, self.dense = (nn.Linear(width, width) for _ in range(4))
        self.norm_1 = nn.LayerNorm(width, eps=epsilon)
        self.inner, self.outer = nn.Linear(width, inner), nn.Linear(inner, width)
        self.norm_2 = nn.LayerNorm(width, eps=epsilon)

    def forward(self, x: Tensor, attends: Tensor, heads: int, activation) -> Tensor:
        """`x` [B, L, d]; `attends` bool [L, L]."""
        q, k, v = (layer(x).unflatten(-1, (heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value))
        logits = q @ k.transpose(2, 3) / sqrt(q.shape[-1])
        attention = logits.masked_fill(~attends, -torch.inf).softmax(-1)
        y = self.norm_1(x + self.dense((attention @ v).transpose(1, 2).flatten(2)))
        return self.norm_2(y + self.outer(activation(self.inner(y))))


class RecBoleSASRec(Network):
    """Item rows, positions and layers. Causal attention never looks right, so padding needs no mask of its own."""

    def __init__(self, shape: Shape, inner: int, heads: int, activation: str, epsilon: float):
        super().__init__(shape, shape.width)
        self.heads, self.activation, self.epsilon = heads, activation, epsilon
        self.positions = nn.Embedding(shape.window, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=epsilon)
        self.layers = nn.ModuleList(Layer(shape.width, inner, epsilon) for _ in range(shape.blocks))

    def states(self, histories: Tensor, lengths: Tensor) -> Tensor:
        place = torch.arange(histories.shape[1], device=histories.device)
        x = self.norm(self.items(histories) + self.positions(place))
        for layer in self.layers:
            x = layer(x, place[:, None] >= place, self.heads, ACTIVATIONS[self.activation])
        return x
