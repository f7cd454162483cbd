"""Titles alone, without events: catalogs of the size that a generated title is grounded in (BIGRec)."""

from pathlib import Path

from ..bundle import Catalog, year_of
from .columns import columns


def read_films(path: Path) -> Catalog:
    """The films of MovieLens 10M: `movie_id` (as in MovieLens 1M), `title` with its year, `genres` between `|`."""
    table = columns(path, ["movie_id", "title", "genres"], strings=["movie_id", "title", "genres"]).to_pydict()
    genres = [[genre for genre in film.split("|") if genre != "(no genres listed)"] for film in table["genres"]]
    years = [year_of(title) for title in table["title"]]
    return Catalog(table["movie_id"], table["title"], attributes={"genres": genres, "year": years})


def read_games(path: Path) -> Catalog:
    """Amazon's video games: `item`, `title`."""
    table = columns(path, ["item", "title"], strings=["item", "title"]).to_pydict()
    return Catalog(table["item"], table["title"])
