"""A data set as every method sees it: items are numbers, events are in order of time."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from .. import Problem
from ..bundle import Catalog
from ..options import HELD_OUT


@dataclass(frozen=True)
class Events:
    """One row an event, each user's in order of time; `times` in seconds, None where nobody knows them.

    `rewards`: what each event is worth to a network that learns values, None where all are worth 1.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None
    rewards: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.items)

    def sequences(self) -> list[np.ndarray]:
        """For each user the numbers of their events, oldest first."""
        order = np.argsort(self.users, kind="stable")
        starts = np.flatnonzero(np.diff(self.users[order])) + 1
        return np.split(order, starts) if len(order) else []

    def counts(self, items: int) -> np.ndarray:
        """Events per item."""
        return np.bincount(self.items, minlength=items)


@dataclass(frozen=True)
class Rows:
    """Questions for a recommender: after this history, which item came next?"""

    histories: list[np.ndarray]
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Origin:
    """Where the data come from, for a bundle's provenance."""

    data_set: str
    licence: str = ""
    credit: str = ""


EVENTS = "every event of a user with a past"
"""What the rows are called that come from validation events."""


@dataclass(frozen=True)
class Dataset:
    """A catalog, the events to learn from, and the later ones to be judged by.

    These are `validation` events, or rows that the data's protocol lays down, by what they are called (`questions`).
    """

    catalog: Catalog
    train: Events
    validation: Events | None
    origin: Origin = field(default_factory=lambda: Origin("own data"))
    questions: dict[str, Rows] = field(default_factory=dict)
    seen: str = "exclude"
    """Whether the protocol leaves items of the history out of the ranking: `exclude` or `allow`."""
    name: str = "own data"
    held_out: float | None = None
    """The share of events that `validation` is; None for data that come split."""

    @property
    def items(self) -> int:
        return len(self.catalog)

    def cold(self, attributes: bool = False) -> np.ndarray:
        """Whether an item is absent from the training events, and by its `attributes` unlike all that are there; bool [N]."""
        cold = self.train.counts(self.items) == 0
        if attributes:
            values = self.catalog.attribute_values()
            cold &= ~(np.isin(values, values[~cold]) & (values >= 0)).any(1)
        return cold

    def digest(self) -> str:
        """Equal for the same items and the same events, split alike and in the same order, and the same questions."""
        sha256 = hashlib.sha256("\0".join(self.catalog.ids).encode())

        def add(column, dtype: str = "<i8") -> None:
            sha256.update(b"\0none\0" if column is None else f"\0{len(column)}\0".encode())
            if column is not None:
                sha256.update(np.ascontiguousarray(column, dtype))

        validation = [] if self.validation is None else [self.validation]
        for events in (self.train, *validation):
            add(events.users)
            add(events.items)
            add(events.times, "<f8")
        for rows in self.questions.values():
            add(rows.targets)
            for history in rows.histories:
                add(history)
        return sha256.hexdigest()

    def split(self) -> str:
        """What a command line says to split the data so; nothing where it need not."""
        return "" if self.held_out in (None, HELD_OUT) else f" --held-out {self.held_out}"

    def kinds(self) -> list[str]:
        """What kinds of validation rows there are; the first is what a network is chosen by."""
        return list(self.questions) or [EVENTS]

    def validation_rows(self, kind: str | None = None) -> Rows:
        """The rows of a kind, of the first if none is named."""
        kind = kind or self.kinds()[0]
        if kind not in self.kinds():
            raise Problem(f"{self.name} has no rows `{kind}`; it has {', '.join(f'`{one}`' for one in self.kinds())}")
        return self.questions[kind] if self.questions else self._validation_events()

    def _validation_events(self) -> Rows:
        """Every validation event of a user with a past: their training events and earlier validation events."""
        pasts: dict = {}
        for user, item in zip(self.train.users.tolist(), self.train.items.tolist()):
            pasts.setdefault(user, []).append(item)
        histories, targets = [], []
        for user, item in zip(self.validation.users.tolist(), self.validation.items.tolist()):
            past = pasts.setdefault(user, [])
            if past:
                histories.append(np.array(past))
                targets.append(item)
            past.append(item)
        if not targets:
            raise Problem("no validation event has a user with a past: is there enough data?")
        return Rows(histories, np.array(targets))
