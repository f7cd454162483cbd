"""Public sets of sequences: lists of items a person, or a session, chose one after the other.

Items are numbered from 0; each folder has `train.parquet` with one list a row, and validation rows in one of three forms:
whole sequences, the item that followed a training sequence (leave-one-out), or histories with their targets.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from .. import Problem
from ..bundle import Catalog
from .columns import columns
from .dataset import Dataset, Events, Origin, Rows

EVERY = "every position after the first"
NEXT = "the next item of every user"
GIVEN = "the rows of the authors"


@dataclass(frozen=True)
class Form:
    """How a set is laid out and judged."""

    items: int
    rows: str
    """`sequences`, `leave-one-out` or `histories`."""
    seen: str
    origin: Origin
    titled: bool = False
    train: str = "train.parquet"


def read_sequences(folder: Path, name: str, form: Form) -> Dataset:
    """A set in one of the usual forms."""
    train = lists(folder / form.train, "items" if form.train == "train.parquet" else "history")
    if form.train != "train.parquet":  # histories with their targets
        targets = columns(folder / form.train, ["target"])["target"].to_numpy()
        train = [np.append(history, target) for history, target in zip(train, targets)]
    if form.rows == "sequences":
        questions = {EVERY: every_position(lists(folder / "val.parquet", "items"))}
    elif form.rows == "leave-one-out":
        questions = {NEXT: followed(folder, train)}
    else:
        questions = {GIVEN: histories(folder / "val.parquet")}
    return dataset(folder, name, form, train, questions)


def dataset(folder: Path, name: str, form: Form, train: list, questions: dict[str, Rows], attributes: dict | None = None) -> Dataset:
    """The data set of these training sequences and validation rows, every item checked."""
    found = max(max(int(part.max()) for part in train), *(_largest(rows) for rows in questions.values()))
    if found >= form.items:
        raise Problem(f"{folder}: item {found} is outside 0 … {form.items - 1}")
    events = events_of(train)
    titles = None
    if form.titled:
        table = columns(folder / "items.parquet", ["item", "title"]).sort_by("item").to_pydict()
        if table["item"] != list(range(form.items)):
            raise Problem(f"{folder / 'items.parquet'}: items are not numbered 0 … {form.items - 1}")
        titles = table["title"]
    ids = [str(item) for item in range(form.items)]
    catalog = Catalog(ids, titles, events.counts(form.items), attributes or {})
    return Dataset(catalog, events, None, form.origin, questions, form.seen, name)


def lists(path: Path, column: str) -> list[np.ndarray]:
    """A column of lists, as arrays in the order of the rows."""
    table = columns(path, [column])[column].combine_chunks()
    if not pa.types.is_list(table.type):
        raise Problem(f"{path}: column `{column}` holds {table.type}, expected lists of numbers")
    ends = table.offsets.to_numpy()
    values = table.values.to_numpy().astype(np.int64)
    return [values[start:end] for start, end in zip(ends, ends[1:])]


def events_of(sequences: list[np.ndarray]) -> Events:
    """Sequences as events without times, each sequence a user."""
    users = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences])
    return Events(users, np.concatenate(sequences), None)


def every_position(sequences: list[np.ndarray], wanted: list[np.ndarray] | None = None) -> Rows:
    """Each item but the first of each sequence, after the items before it; only those `wanted` (bool by sequence)."""
    pairs = [
        (sequence[:place], sequence[place])
        for number, sequence in enumerate(sequences)
        for place in range(1, len(sequence))
        if wanted is None or wanted[number][place]
    ]
    return Rows([history for history, _ in pairs], np.array([target for _, target in pairs]))


def followed(folder: Path, train: list[np.ndarray]) -> Rows:
    """What each user of `train.parquet` chose next, by `val.parquet`."""
    users = columns(folder / "train.parquet", ["user"])["user"].to_pylist()
    table = columns(folder / "val.parquet", ["user", "target"]).to_pydict()
    past = dict(zip(users, train))
    missing = [user for user in table["user"] if user not in past]
    if missing:
        raise Problem(f"{folder / 'val.parquet'}: user {missing[0]} is not in train.parquet")
    return Rows([past[user] for user in table["user"]], np.array(table["target"]))


def histories(path: Path) -> Rows:
    """The rows of a file with the columns `history` and `target`; those with an empty history are no question."""
    past, targets = lists(path, "history"), columns(path, ["target"])["target"].to_numpy()
    kept = [row for row, history in enumerate(past) if len(history)]
    return Rows([past[row] for row in kept], targets[kept])


def at_least(rows: Rows, length: int) -> Rows:
    """The rows whose history has so many items."""
    kept = [row for row, history in enumerate(rows.histories) if len(history) >= length]
    return Rows([rows.histories[row] for row in kept], rows.targets[kept])


def _largest(rows: Rows) -> int:
    return max(int(rows.targets.max()), *(int(history.max()) for history in rows.histories))
