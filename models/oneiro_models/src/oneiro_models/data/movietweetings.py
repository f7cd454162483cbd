"""MovieTweetings: films that people rated on Twitter.

Dooms, De Pessemier and Martens, "MovieTweetings: a movie rating dataset collected from Twitter", CrowdRec at RecSys 2013.
A folder with `items.parquet` (item, imdb_id, title, genres), `train.parquet` and `val.parquet` (user, item, time).
A rating of any height counts as one choice.
"""

from pathlib import Path

import numpy as np

from .. import Problem
from ..bundle import Catalog, year_of
from .columns import columns
from .dataset import Dataset, Events, Origin

ORIGIN = Origin(
    data_set="MovieTweetings, snapshot 100K, 5-core filtered: https://github.com/sidooms/MovieTweetings",
    licence="MIT, Copyright (c) Simon Dooms",
    credit="Dooms, De Pessemier, Martens: MovieTweetings: a Movie Rating Dataset Collected From Twitter. "
    "Workshop on Crowdsourcing and Human Computation for Recommender Systems (CrowdRec) at RecSys 2013",
)


def read_movietweetings(folder: Path) -> Dataset:
    items = columns(folder / "items.parquet", ["item", "imdb_id", "title", "genres"]).sort_by("item").to_pydict()
    if items["item"] != list(range(len(items["item"]))):
        raise Problem(f"{folder / 'items.parquet'}: items are not numbered 0, 1, 2, …")
    train = _events(folder / "train.parquet", len(items["item"]))
    catalog = Catalog(
        ids=[f"tt{imdb_id:07d}" for imdb_id in items["imdb_id"]],
        titles=items["title"],
        counts=train.counts(len(items["item"])),
        attributes={
            "genres": [[genre for genre in genres.split("|") if genre] for genres in items["genres"]],
            "year": [year_of(title) for title in items["title"]],
        },
    )
    return Dataset(catalog, train, _events(folder / "val.parquet", len(catalog)), ORIGIN, name="movietweetings-100k")


def _events(path: Path, items: int) -> Events:
    table = columns(path, ["user", "item", "time"])
    users, chosen, times = (table[name].to_numpy() for name in ("user", "item", "time"))
    if chosen.min() < 0 or chosen.max() >= items:
        raise Problem(f"{path}: an item is outside 0 … {items - 1}")
    order = np.argsort(times, kind="stable")
    return Events(users[order], chosen[order].astype(np.int64), times[order].astype(np.float64))
