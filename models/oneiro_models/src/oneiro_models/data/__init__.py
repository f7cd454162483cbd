"""Data sets: who chose what and when, split by time."""

from pathlib import Path

from .. import Problem
from .dataset import Dataset, Events, Origin, Rows
from .movietweetings import read_movietweetings
from .own import read_own
from .written import write_events

__all__ = ["Dataset", "Events", "Origin", "Rows", "read", "write_events"]


def read(path: Path, titles: Path | None = None, held_out: float = 0.1) -> Dataset:
    """A folder in the form of movietweetings-100k, or one's own CSV or Parquet file of `user`, `item`, `time`."""
    if path.is_dir():
        return read_movietweetings(path)
    if path.is_file():
        return read_own(path, titles, held_out)
    raise Problem(f"{path}: no such file or folder")
