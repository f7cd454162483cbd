"""The projector: what turns a recommender's item row into a row of the language model's text."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .. import Problem
from .tokenizer import NO_ROW

FILE = "projector.safetensors"
APART = 0.3
"""How far rows are from the placeholder's at first, of the size of a token's."""


class Projector(nn.Module):
    """g(e) = W₂·GELU(W₁·e + b₁) + b₂, with the error function's GELU; d → D → D.

    At first W₁ is drawn for rows of this spread, since the published rows are small, b₂ is the row of the placeholder that stage 1
    knows, `<text>`, and W₂ is drawn so that rows are a little apart from it: a hybrid prompt then begins as one of text.
    """

    def __init__(self, rows: int, width: int, spread: float = 1.0, size: float = 1.0):
        super().__init__()
        self.inner, self.outer = nn.Linear(rows, width), nn.Linear(width, width)
        nn.init.normal_(self.inner.weight, std=1 / (spread * rows**0.5))
        nn.init.normal_(self.outer.weight, std=APART * 1.5 * size / width**0.5)
        nn.init.zeros_(self.inner.bias)
        nn.init.zeros_(self.outer.bias)

    @classmethod
    def between(cls, rows: np.ndarray, tokens: Tensor) -> "Projector":
        """For these item rows [N, d] and token rows [V, D]."""
        tokens = tokens.detach()
        projector = cls(rows.shape[1], tokens.shape[1], float(rows.std()), float(tokens.std()))
        with torch.no_grad():
            projector.outer.bias.copy_(tokens[NO_ROW])
        return projector

    def forward(self, rows: Tensor) -> Tensor:
        return self.outer(nn.functional.gelu(self.inner(rows)))

    def save(self, folder: Path) -> None:
        save_file({name: weight.detach().contiguous() for name, weight in self.state_dict().items()}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> "Projector":
        if not (folder / FILE).is_file():
            raise Problem(f"{folder} has no {FILE}: without it a language model cannot read a recommender's rows")
        state = load_file(folder / FILE)
        width, rows = state["inner.weight"].shape
        found = cls(rows, width)
        found.load_state_dict(state)
        return found.eval()


def embedded(rows: Tensor, places: list[list[int]], items: list[list[int]], table: Tensor, g: nn.Module) -> Tensor:
    """Token rows [B, L, D] with g of the items' rows, in the order of the text, at their places; `rows` are the tokens' own."""
    batch = torch.tensor([number for number, own in enumerate(places) for _ in own])
    if not len(batch):
        return rows
    at = torch.tensor([place for own in places for place in own])
    projected = g(table[torch.tensor([item for own in items for item in own])])
    return rows.index_put((batch, at), projected)
