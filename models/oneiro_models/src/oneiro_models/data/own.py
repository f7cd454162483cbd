"""One's own data: a CSV or Parquet file with the columns `user`, `item` and `time`, one row an event.

Ids may be any text. A time is a number (Unix seconds) or a date. The latest part of the rows is kept for validation.
Titles may come in a second file with the columns `item` and `title`.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import Problem
from ..bundle import Catalog
from .columns import columns
from .dataset import Dataset, Events, Origin


def read_own(path: Path, titles: Path | None, held_out: float) -> Dataset:
    if not 0 < held_out < 1:
        raise Problem(f"the share of rows held out for validation is {held_out}, expected one between 0 and 1")
    table = columns(path, ["user", "item", "time"], strings=["user", "item"])
    times = _seconds(path, table["time"])
    order = np.argsort(times, kind="stable")
    ids, items = np.unique(table["item"].to_numpy(), return_inverse=True)
    _, users = np.unique(table["user"].to_numpy(), return_inverse=True)
    users, items, times = users[order], items[order].astype(np.int64), times[order]
    cut = round(len(items) * (1 - held_out))
    if not 0 < cut < len(items):
        raise Problem(f"{path}: {len(items)} rows are too few to hold out a share of {held_out}")
    train = Events(users[:cut], items[:cut], times[:cut])
    names = _titles(titles, list(ids)) if titles else None
    catalog = Catalog(list(ids), names, train.counts(len(ids)))
    validation = Events(users[cut:], items[cut:], times[cut:])
    return Dataset(catalog, train, validation, Origin(path.name), name=path.name, held_out=held_out)


def _seconds(path: Path, times: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_date(times.type) or pa.types.is_timestamp(times.type):
        return pc.cast(pc.cast(times, pa.timestamp("us")), pa.int64()).to_numpy() / 1e6
    if pa.types.is_integer(times.type) or pa.types.is_floating(times.type):
        return times.to_numpy().astype(np.float64)
    raise Problem(f"{path}: column `time` holds {times.type}, expected numbers (Unix seconds) or dates")


def _titles(path: Path, ids: list[str]) -> list[str]:
    """The title of every id; an item without one goes by its id."""
    table = columns(path, ["item", "title"], strings=["item", "title"]).to_pydict()
    known = dict(zip(table["item"], table["title"]))
    return [known.get(item, item) for item in ids]
