"""The training events, cut into batches: windows with a target at every place, or draws of single histories.

An event's weight halves every `half_life` days before the end of training, since tastes drift; it is scaled to a mean of 1.
Data without times weigh all events alike.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from . import Problem
from .data import Dataset
from .options import Options

DAY = 86400.0
SLIDING = 5
"""Networks whose window slides are trained on pieces so many windows long: short pieces would only show them beginnings."""


@dataclass(frozen=True)
class Batch:
    """Histories i64 [B, L] with their lengths.

    Of windows: at each place the item that came next (N: none) and its weight, [B, L]. Of draws: those of the whole
    history, [B]; a history may be empty.
    """

    histories: Tensor
    lengths: Tensor
    targets: Tensor
    weights: Tensor
    states: Tensor | None = None
    """Of draws, the states of the histories [B, d] by an encoder that learns no more."""
    rewards: Tensor | None = None
    """Of draws: what each target is worth, f32 [B]."""
    done: Tensor | None = None
    """Of draws: whether it is its user's last, bool [B]."""

    def to(self, device: torch.device) -> "Batch":
        values = (getattr(self, field.name) for field in fields(self))
        return Batch(*(value if value is None else value.to(device) for value in values))


def sequences(data: Dataset) -> list[np.ndarray]:
    """The numbers of every user's training events, of those users who have two."""
    found = [sequence for sequence in data.train.sequences() if len(sequence) > 1]
    if not found:
        raise Problem("no user has two training events: there is nothing to learn from")
    return found


def weighted(data: Dataset, options: Options) -> list[tuple[np.ndarray, np.ndarray]]:
    """The items and weights of these events."""
    events, events_of = data.train, sequences(data)
    weights = np.ones(len(events))
    if options.half_life and events.times is not None:
        weights = 0.5 ** ((events.times[-1] - events.times) / DAY / options.half_life)
    mean = np.concatenate([weights[sequence[1:]] for sequence in events_of]).mean()
    return [(events.items[sequence], weights[sequence] / mean) for sequence in events_of]


class Windows:
    """Windows of at most L histories and targets, cut anew for each epoch."""

    def __init__(self, data: Dataset, options: Options, slides: bool = False):
        self.items, self.sequences = data.items, weighted(data, options)
        self.window, self.batch = options.window * (SLIDING if slides else 1), options.batch

    def epoch(self, generator: np.random.Generator) -> Iterator[Batch]:
        """Every target once, in batches of windows of similar length."""
        windows = []
        for items, weights in self.sequences:
            first = 0 if len(items) <= self.window + 1 else int(generator.integers(1, self.window + 1)) - self.window
            for start in range(first, len(items) - 1, self.window):
                part = slice(max(start, 0), start + self.window + 1)
                windows.append((items[part], weights[part]))
        order = generator.permutation(len(windows))
        pools = [order[start : start + 16 * self.batch] for start in range(0, len(order), 16 * self.batch)]
        pools = [sorted(pool, key=lambda window: len(windows[window][0])) for pool in pools]
        batches = [pool[start : start + self.batch] for pool in pools for start in range(0, len(pool), self.batch)]
        for index in generator.permutation(len(batches)):
            yield self.collate([windows[window] for window in batches[index]])

    def collate(self, windows: list) -> Batch:
        longest = max(len(items) for items, _ in windows) - 1
        histories = torch.full((len(windows), longest), self.items)
        targets, weights = histories.clone(), torch.zeros(histories.shape)
        for row, (items, weight) in enumerate(windows):
            places = len(items) - 1
            histories[row, :places] = torch.as_tensor(items[:-1])
            targets[row, :places] = torch.as_tensor(items[1:])
            weights[row, :places] = torch.as_tensor(weight[1:])
        return Batch(histories, (histories < self.items).sum(1), targets, weights)


class Draws:
    """Every event after the at most L before it, the first of a user after an empty history.

    An epoch is as many draws of B rows as the rows would fill: without replacement inside a draw, with replacement
    across draws, as DreamRec's authors and the SQN family train.
    """

    def __init__(self, data: Dataset, options: Options):
        chosen, window = weighted(data, options), options.window
        self.items, self.batch, self.states = data.items, options.batch, None
        rows = [(items[max(place - window, 0) : place], items[place]) for items, _ in chosen for place in range(len(items))]
        if len(rows) < options.batch:
            raise Problem(f"{len(rows)} training events do not fill one batch of {options.batch}: name a smaller --batch")
        self.histories = torch.full((len(rows), window), data.items, dtype=torch.int32)
        for row, (history, _) in enumerate(rows):
            self.histories[row, : len(history)] = torch.as_tensor(history)
        self.targets = torch.tensor([target for _, target in rows])
        self.weights = torch.as_tensor(np.concatenate([weights for _, weights in chosen]), dtype=torch.float32)
        numbers = sequences(data)
        rewards = np.ones(len(data.train)) if data.train.rewards is None else data.train.rewards
        self.rewards = torch.as_tensor(rewards[np.concatenate(numbers)], dtype=torch.float32)
        self.done = torch.zeros(len(rows), dtype=torch.bool)
        self.done[torch.tensor([len(part) for part in numbers]).cumsum(0) - 1] = True

    def fix(self, data: Dataset, options: Options, encode: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Computes all states once, by `encode`: histories, lengths → states [B, L, d]. Rows are then the places of windows
        cut once: a history begins where its window does. Rewards are not known of them.
        """
        histories, states, targets, weights = [], [], [], []
        for batch in Windows(data, options).epoch(np.random.default_rng(options.seed)):
            rows, places = torch.nonzero(batch.targets < data.items, as_tuple=True)
            past = torch.arange(batch.histories.shape[1]) <= places[:, None]
            history = batch.histories[rows].where(past, data.items).int()
            histories.append(functional.pad(history, (0, options.window - history.shape[1]), value=data.items))
            states.append(encode(batch.histories, batch.lengths)[rows, places])
            targets.append(batch.targets[rows, places])
            weights.append(batch.weights[rows, places])
        first = (self.histories[:, 0] == data.items).nonzero().squeeze(1)
        empty = encode(torch.full((1, 1), data.items), torch.zeros(1, dtype=torch.int64))[0]
        self.histories = torch.cat([self.histories[first], *histories])
        self.targets, self.weights = torch.cat([self.targets[first], *targets]), torch.cat([self.weights[first], *weights])
        self.states = torch.cat([empty.expand(len(first), -1), *states])
        self.rewards = self.done = None

    def epoch(self, generator: np.random.Generator) -> Iterator[Batch]:
        for _ in range(len(self.targets) // self.batch):
            rows = torch.as_tensor(generator.choice(len(self.targets), self.batch, replace=False, shuffle=False))
            histories = self.histories[rows].long()
            lengths = (histories < self.items).sum(1)
            columns = (self.targets, self.weights, self.states, self.rewards, self.done)
            rest = (None if column is None else column[rows] for column in columns)
            yield Batch(histories[:, : max(int(lengths.max()), 1)], lengths, *rest)
