"""A data set as every method sees it: items are numbers, events are in order of time."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from .. import Problem
from ..bundle import Catalog


@dataclass(frozen=True)
class Events:
    """One row an event, in order of time; `times` in seconds."""

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray

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


@dataclass(frozen=True)
class Dataset:
    """A catalog, the events to learn from, and the later ones to be judged by."""

    catalog: Catalog
    train: Events
    validation: Events
    origin: Origin = field(default_factory=lambda: Origin("own data"))
    held_out: float | None = None
    """The share of events that `validation` is; None for data that come split."""

    @property
    def items(self) -> int:
        return len(self.catalog)

    def cold(self) -> np.ndarray:
        """Whether an item is absent from the training events; bool [N]."""
        return self.train.counts(self.items) == 0

    def digest(self) -> str:
        """Equal for the same items and the same events, split alike and in the same order."""
        sha256 = hashlib.sha256("\0".join(self.catalog.ids).encode())
        for events in (self.train, self.validation):
            for column, dtype in ((events.users, "<i8"), (events.items, "<i8"), (events.times, "<f8")):
                sha256.update(f"\0{len(column)}\0".encode())
                sha256.update(np.ascontiguousarray(column, dtype))
        return sha256.hexdigest()

    def validation_rows(self) -> Rows:
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
