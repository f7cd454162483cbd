"""Writes a data set's events as the CSV file that `oneiro eval` reads."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from .. import Problem
from .dataset import Dataset, Events, Rows


def write_events(data: Dataset, path: Path, kind: str | None = None) -> np.ndarray:
    """One row an event: `user`, `item` (the catalog's id), `time`, `split` (`train` or `val`). What is asked of `oneiro eval`
    so are the validation rows of a kind, and the answer is the line of each of them, from 1.

    Data that are split by time give their events, those of training first. Of others each validation row is a user with
    its history and target, and times count from 0.
    """
    if path.suffix.lower() != ".csv":
        raise Problem(f"{path}: expected a name that ends in .csv")
    rows = data.validation_rows(kind)
    events, is_val = _of_rows(rows) if data.validation is None else _of_splits(data.train, data.validation)
    times = events.times
    table = pa.table(
        {
            "user": events.users,
            "item": pa.array(np.array(data.catalog.ids, dtype=object)[events.items], pa.string()),
            "time": times.astype(np.int64) if (times == np.floor(times)).all() else times,
            "split": pa.array(np.where(is_val, "val", "train")),
        }
    )
    try:
        pa.csv.write_csv(table, path)
    except OSError as error:
        raise Problem(f"{path}: {error}") from None
    first = np.unique(events.users, return_index=True)[1]  # nothing is known of its user yet
    asked = is_val.copy()
    asked[first] = False
    return np.flatnonzero(asked) + 2  # the first line names the columns


def _of_splits(train: Events, validation: Events) -> tuple[Events, np.ndarray]:
    """All events, and which are of the validation."""
    columns = ([getattr(split, name) for split in (train, validation)] for name in ("users", "items", "times"))
    return Events(*map(np.concatenate, columns)), np.repeat([False, True], [len(train), len(validation)])


def _of_rows(rows: Rows) -> tuple[Events, np.ndarray]:
    """Each row's history and target as the events of a user, and which are targets."""
    lengths = np.array([len(history) + 1 for history in rows.histories])
    ends = lengths.cumsum()
    items = np.concatenate([part for history, target in zip(rows.histories, rows.targets) for part in (history, [target])])
    times = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    is_target = np.zeros(ends[-1], bool)
    is_target[ends - 1] = True
    return Events(np.repeat(np.arange(len(rows)), lengths), items.astype(np.int64), times.astype(np.float64)), is_target
