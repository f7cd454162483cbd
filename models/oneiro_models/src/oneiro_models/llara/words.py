"""How the items of a data set are written: titles, other ways to write them, and the templates of prompts."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import Problem
from ..bundle.catalog import YEAR
from ..data import Dataset
from ..data.columns import columns

HISTORY, CANDIDATES = "{history}", "{candidates}"
"""The two slots of a template, in this order."""

TEMPLATES = (
    "This user has {did} these {things}, the latest one last: {history}. Which {thing} comes next? It is one of these: "
    "{candidates}. The next {thing} is:",
    "Somebody {did} {history}. Of the {things} {candidates}, the one to {do} next is:",
    "{Things} in the order in which they were {done}: {history}. One of the following was {done} after them: {candidates}. "
    "Its title alone, please. Answer:",
)
FILMS = {"thing": "film", "things": "films", "Things": "Films", "did": "watched", "done": "watched", "do": "watch"}
GAMES = {"thing": "game", "things": "games", "Things": "Games", "did": "played", "done": "played", "do": "play"}
ARTISTS = {"thing": "artist", "things": "artists", "Things": "Artists", "did": "heard", "done": "heard", "do": "hear"}
DOMAINS = {
    "movielens-100k": FILMS,
    "movielens-1m": FILMS,
    "movietweetings-100k": FILMS,
    "llara-steam": GAMES,
    "llara-lastfm": ARTISTS,
}
THINGS = {"thing": "item", "things": "items", "Things": "Items", "did": "chosen", "done": "chosen", "do": "choose"}

ARTICLE = re.compile(r"\A(.+), (The|A|An)\Z")


@dataclass(frozen=True)
class Words:
    """What items are called. `styles`: every item's title in the way that prompts have it, then in other ways."""

    styles: list[list[str]]
    templates: list[str]

    @property
    def titles(self) -> list[str]:
        return self.styles[0]


def words_of(data: Dataset, folder: Path) -> Words:
    """Of MovieLens-100K, LLaRA's own: without the year, the article in front. Else the catalog's."""
    titles = data.catalog.titles
    if titles is None:
        raise Problem(f"{data.name} has no titles: a language model has nothing to read")
    bare = [without_year(title) for title in titles]
    styles = [bare, titles] if data.name == "movielens-100k" else [titles] if bare == titles else [titles, bare]
    genres = _genres(data, folder)
    if genres:
        styles.append([f"{title} [{', '.join(own)}]" if own else title for title, own in zip(titles, genres)])
    return Words(styles, templates_of(data.name))


def without_year(title: str) -> str:
    """`Matrix, The (1999)` → `The Matrix`."""
    bare = YEAR.sub("", title)
    article = ARTICLE.match(bare)
    return f"{article[2]} {article[1]}" if article else bare


def _genres(data: Dataset, folder: Path) -> list[list[str]] | None:
    known = data.catalog.attributes.get("genres")
    if known is None and data.name.startswith("movielens"):
        table = columns(folder / "items.parquet", ["item", "genres"]).sort_by("item").to_pydict()
        known = [[genre for genre in genres.split("|") if genre] for genres in table["genres"]]
    return known


def templates_of(name: str) -> list[str]:
    """The three templates, with their two slots."""
    slots = {"history": HISTORY, "candidates": CANDIDATES}
    return [template.format(**DOMAINS.get(name, THINGS), **slots) for template in TEMPLATES]


def cut(template: str) -> tuple[str, str, str]:
    """The texts before the history, between it and the candidates, and after them."""
    before, found, rest = template.partition(HISTORY)
    between, also, after = rest.partition(CANDIDATES)
    if not (found and also) or HISTORY in rest or CANDIDATES in after or not after or after != after.rstrip():
        raise Problem(f"the template `{template}` has not one {HISTORY} and then one {CANDIDATES} and an end that is no space")
    return before, between, after


def histories(data: Dataset) -> list[np.ndarray]:
    """The items of every training sequence of at least two."""
    found = [data.train.items[events] for events in data.train.sequences() if len(events) > 1]
    if not found:
        raise Problem("no user has two training events: there is nothing to learn from")
    return found
