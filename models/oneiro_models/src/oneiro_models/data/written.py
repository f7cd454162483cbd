"""Writes a data set's events as the CSV file that `oneiro eval` reads."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from .. import Problem
from .dataset import Dataset


def write_events(data: Dataset, path: Path) -> None:
    """One row an event: `user`, `item` (the catalog's id), `time`, `split` (`train` or `val`); training events first."""
    if path.suffix.lower() != ".csv":
        raise Problem(f"{path}: expected a name that ends in .csv")
    if data.validation is None or data.train.times is None:
        raise Problem("only data sets that are split by time can be written as events: this one has rows of its own")
    events = {"train": data.train, "val": data.validation}
    times = np.concatenate([split.times for split in events.values()])
    ids = np.array(data.catalog.ids, dtype=object)
    table = pa.table(
        {
            "user": np.concatenate([split.users for split in events.values()]),
            "item": pa.array(np.concatenate([ids[split.items] for split in events.values()]), pa.string()),
            "time": times.astype(np.int64) if (times == np.floor(times)).all() else times,
            "split": pa.array(np.repeat(list(events), [len(split) for split in events.values()])),
        }
    )
    try:
        pa.csv.write_csv(table, path)
    except OSError as error:
        raise Problem(f"{path}: {error}") from None
