"""What every network here has: rows that are read, states, and rows that are scored."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..batches import Batch
from ..loss import full_softmax
from ..options import Options


@dataclass(frozen=True)
class Shape:
    """What a network is built from."""

    items: int
    width: int = 64
    window: int = 50
    blocks: int = 1
    separate: bool = False
    """Whether scored rows are others than the rows read, and have a bias."""


class Network(nn.Module):
    """Item rows and scoring. Histories are item numbers, oldest first, padded on the right with N.

    A network defines `states` and says of itself:
    `empty` (the row that stands for padding and for an empty history), `fixed` (its graph sees the padding).
    One that learns otherwise than by the full softmax defines `loss`, one that answers otherwise than by its state's
    scores `answers`.
    """

    fixed = False
    slides = False
    """Whether `states` takes histories longer than the window, each state being that of the last `window` items."""
    draws_rows = False
    """Whether it is trained on draws of single histories instead of windows with a target at every place. Its steps are
    small then, and Adam's share of them is large: it is the fused one.
    """
    beyond: tuple[str, ...] = ()
    """What the names of those weights begin with that work on the states of an encoder."""
    draws: int | None = None
    """How many answers a history gets where chance plays a part in them; None: it plays none."""

    @classmethod
    def chosen(cls, shape: Shape, options: Options) -> "Network":
        """The untrained network that the options describe."""
        return cls(shape, options.dropout)

    def __init__(self, shape: Shape, state_width: int):
        super().__init__()
        self.shape = shape
        self.items = nn.Embedding(shape.items + 1, shape.width, padding_idx=shape.items)
        self.head = nn.Linear(state_width, shape.items) if shape.separate else None

    @property
    def table(self) -> Tensor:
        """The rows of the N items that are read, [N, d]."""
        return self.items.weight[: self.shape.items]

    @property
    def scored(self) -> Tensor:
        """The rows that a state is scored against, [N, e]; those that are read, unless the head is separate."""
        return self.table if self.head is None else self.head.weight

    @property
    def bias(self) -> Tensor | None:
        """What is added to the scores, [N]; only a separate head has it."""
        return None if self.head is None else self.head.bias

    @property
    def empty(self) -> Tensor | None:
        """The row of padding and of an empty history, [d]; None where it is zeros."""
        return None

    def start(self, scale: float) -> None:
        """Draws the item rows anew for training, with this standard deviation; the padding row is zeros."""
        nn.init.normal_(self.items.weight, std=scale)
        with torch.no_grad():
            self.items.weight[self.shape.items] = 0

    @property
    def title(self) -> str:
        """What tables of results call it."""
        return type(self).__name__

    def copies(self) -> list["Network"]:
        """Itself, and the whole networks beside it that are there for training only, its `twin`."""
        return [self]

    def states(self, histories: Tensor, lengths: Tensor) -> Tensor:
        """The state after each position, [B, L, e]; `histories` i64 [B, L], `lengths` i64 [B], 0 … L."""
        raise NotImplementedError

    def forward(self, histories: Tensor, lengths: Tensor) -> Tensor:
        """The state of each history, [B, e]: that of its last item."""
        states = self.states(histories, lengths)
        return states[torch.arange(len(lengths), device=lengths.device), (lengths - 1).clamp(min=0)]

    def scores(self, states: Tensor) -> Tensor:
        """`state · row`, plus the bias if there is one, for every item; [..., N]."""
        return states @ self.table.T if self.head is None else self.head(states)

    def answers(
        self, histories: Tensor, lengths: Tensor, seeds: np.ndarray | None = None, unranked: Tensor | None = None
    ) -> Tensor:
        """What each history is answered with: the scores of every item, [B, N]; [D, B, N] for `draws` D, by the seed of
        each history. `unranked` bool [B, N]: items that will not rank whatever they score.
        """
        return self.scores(self(histories, lengths))

    def loss(self, batch: Batch, cold: Tensor, seen: str) -> Tensor:
        """What training makes small: here the weighted mean of the full-softmax cross-entropy, every item competing for
        every target, but those that are `cold` (bool [N]) and, unless `seen` is `allow`, those of the history.
        """
        rows, places = torch.nonzero(batch.targets < self.shape.items, as_tuple=True)
        states = self.states(batch.histories, batch.lengths)[rows, places]
        targets, weights = batch.targets[rows, places], batch.weights[rows, places]
        had = None
        if seen == "exclude":
            histories = batch.histories[rows]
            past = torch.arange(histories.shape[1], device=rows.device) <= places[:, None]
            had = histories.where(past, histories[:, :1])
        return full_softmax(states, self.scored, self.bias, targets, weights, cold, had)
