"""Data sets: who chose what and when, and what recommenders are asked about them."""

from pathlib import Path

from .. import Problem
from ..options import HELD_OUT
from .bandit import Log, read_bandit
from .dataset import Dataset, Events, Origin, Rows
from .own import read_own
from .public import read_public
from .texts import read_films, read_games
from .written import write_events

__all__ = ["Dataset", "Events", "Log", "Origin", "Rows", "read", "read_bandit", "read_films", "read_games", "write_events"]


def read(path: Path, titles: Path | None = None, held_out: float = HELD_OUT) -> Dataset:
    """The folder of a public set (`public.py`), or one's own CSV or Parquet file of `user`, `item`, `time`."""
    if path.is_dir():
        return read_public(path)
    if path.is_file():
        return read_own(path, titles, held_out)
    raise Problem(f"{path}: no such file or folder")
