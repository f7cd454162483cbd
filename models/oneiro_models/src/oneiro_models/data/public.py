"""The public sets that readers are here for, each known by the first heading of the README in its folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import Problem
from .columns import columns
from .dataset import Dataset, Origin, Rows
from .movietweetings import read_movietweetings
from .sequences import EVERY, GIVEN, Form, at_least, dataset, every_position, histories, lists, read_sequences

RESEARCH = "research use; not for shipping"
AMAZON = Origin("Amazon reviews 2014, 5-core, by way of WHUIR/DiffuRec", RESEARCH, "J. McAuley et al., UCSD")
DREAMREC = "by way of YangZhengyi98/DreamRec"
LLARA = "LLaRA's split, ljy0ustc/LLaRA"
GROUPLENS = "GroupLens usage licence: research only; not for shipping"
MOVIELENS = "Harper and Konstan: The MovieLens Datasets, ACM TiiS 2015"

FORMS = {
    "amazon-beauty": Form(12101, "leave-one-out", "exclude", AMAZON),
    "amazon-toys": Form(11924, "leave-one-out", "exclude", AMAZON),
    "amazon-industrial": Form(
        3686, "histories", "allow", Origin("Amazon reviews 2018, by way of MiniOneRec", RESEARCH, AMAZON.credit), titled=True
    ),
    "dreamrec-zhihu": Form(4838, "sequences", "allow", Origin(f"ZhihuRec, {DREAMREC}", RESEARCH, "Hao et al. 2021")),
    "dreamrec-yc": Form(
        9514, "sequences", "allow", Origin(f"YooChoose, {DREAMREC}", "CC BY-NC-ND 4.0; not for shipping", "RecSys Challenge 2015")
    ),
    "dreamrec-ks": Form(7261, "sequences", "allow", Origin(f"KuaiRec, {DREAMREC}", "CC BY-SA 4.0", "Gao et al. 2022")),
    "jdata-sessions": Form(12195, "sequences", "allow", Origin("JData, by way of ciecus/MKM-SR", RESEARCH, "JD.com")),
    "llara-lastfm": Form(
        4606, "sequences", "exclude", Origin(f"HetRec 2011 Last.fm, {LLARA}", "non-commercial research", "Cantador et al."), True
    ),
    "llara-steam": Form(
        3581, "histories", "exclude", Origin(f"Steam, {LLARA}", RESEARCH, "Kang and McAuley 2018"), True, "train_sample.parquet"
    ),
    "movielens-100k": Form(1682, "sequences", "exclude", Origin("MovieLens 100K", GROUPLENS, MOVIELENS), titled=True),
    "movielens-1m": Form(3706, "leave-one-out", "exclude", Origin("MovieLens 1M", GROUPLENS, MOVIELENS), titled=True),
}

THREE = "the rows of the authors, history of at least 3"
LIKED = 3
"""MovieLens-100K: LLaRA keeps ratings of at least so much."""
BEHAVIOURS = {1: "browse", 2: "order"}
"""JData: what kinds of events have rows of their own."""
ORDER, OTHER = 1.0, 0.2
"""JData: what an order and what any other event is worth, as a purchase and a click are in the SQN family."""


def read_public(folder: Path) -> Dataset:
    """The set in a folder, by its README; a folder without one is taken for MovieTweetings."""
    name = _name(folder)
    if name == "movietweetings-100k":
        return read_movietweetings(folder)
    if name not in FORMS:
        raise Problem(f"{folder}: no reader for `{name}`; there are some for {', '.join(['movietweetings-100k', *FORMS])}")
    special = {"jdata-sessions": _jdata, "llara-lastfm": _lastfm, "llara-steam": _steam, "movielens-100k": _movielens_100k}
    if name in special:
        return special[name](folder, name, FORMS[name])
    return read_sequences(folder, name, FORMS[name])


def _name(folder: Path) -> str:
    readme = folder / "README.md"
    if not readme.is_file():
        return "movietweetings-100k"
    return readme.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ").strip()


def _jdata(folder: Path, name: str, form: Form) -> Dataset:
    """Also rows for the next event being a browse or an order, and rewards; brand, shop and category as attributes."""
    sequences, behaviours = (lists(folder / "val.parquet", column) for column in ("items", "behaviors"))
    questions = {EVERY: every_position(sequences)}
    for code, event in BEHAVIOURS.items():
        questions[f"next is {event}"] = every_position(sequences, [kinds == code for kinds in behaviours])
    traits = columns(folder / "items.parquet", ["item", "brand", "shop", "category"]).sort_by("item").to_pydict()
    attributes = {trait: traits[trait] for trait in ("brand", "shop", "category")}
    data = dataset(folder, name, form, lists(folder / "train.parquet", "items"), questions, attributes)
    kinds = np.concatenate(lists(folder / "train.parquet", "behaviors"))
    rewards = np.where([BEHAVIOURS.get(kind) == "order" for kind in kinds], ORDER, OTHER)
    return replace(data, train=replace(data.train, rewards=rewards))


def _lastfm(folder: Path, name: str, form: Form) -> Dataset:
    questions = {
        EVERY: every_position(lists(folder / "val.parquet", "items")),
        GIVEN: histories(folder / "llara_val.parquet"),
    }
    return dataset(folder, name, form, lists(folder / "train.parquet", "items"), questions)


def _steam(folder: Path, name: str, form: Form) -> Dataset:
    """Also the rows with at least three items, the only ones that LLaRA uses."""
    data = read_sequences(folder, name, form)
    data.questions[THREE] = at_least(data.questions[GIVEN], 3)
    return data


def _movielens_100k(folder: Path, name: str, form: Form) -> Dataset:
    """Ratings below three are no choices; the validation users are others than those of training."""
    train, validation = (_liked(folder / file) for file in ("train.parquet", "val.parquet"))
    questions: dict[str, Rows] = {EVERY: every_position(validation), GIVEN: histories(folder / "llara_val.parquet")}
    return dataset(folder, name, form, train, questions)


def _liked(path: Path) -> list:
    pairs = zip(lists(path, "items"), lists(path, "ratings"))
    return [kept for items, ratings in pairs if len(kept := items[ratings >= LIKED])]
