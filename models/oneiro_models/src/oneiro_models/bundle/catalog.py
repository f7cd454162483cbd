"""The catalog part: who the items are (models/README.md, "Catalog part")."""

import re
import unicodedata
from dataclasses import dataclass, field

import numpy as np

from .. import Problem

NO_VALUE = -(2**63)
"""Stands in an `integer` attribute for an item without a value."""

YEAR = re.compile(r" \(([0-9]{4})\)\Z")
TRAILING_ARTICLE = re.compile(r", (?:the|an|a)\Z", re.IGNORECASE | re.ASCII)
LEADING_ARTICLES = {"the", "a", "an"}
APOSTROPHES = "'\u2019\u02bc"


def title_key(title: str) -> str:
    """What a title is found by; the numbers are those of the rules in models/README.md."""
    year = YEAR.search(title)  # 1
    if year:
        title = title[: year.start()]
    title = TRAILING_ARTICLE.sub("", title)  # 2
    title = unicodedata.normalize("NFKD", title)  # 3
    title = unicodedata.normalize("NFKD", title.casefold())  # 4
    words = "".join(map(_searchable, title)).split(" ")  # 5
    words = [word for word in words if word]  # 6
    if len(words) > 1 and words[0] in LEADING_ARTICLES:  # 7
        del words[0]
    key = " ".join(words)
    return f"{key}\t{year[1]}" if year else key  # 8


def year_of(title: str) -> int | None:
    """The year of a title such as `Inception (2010)`."""
    year = YEAR.search(title)
    return int(year[1]) if year else None


def _searchable(character: str) -> str:
    category = unicodedata.category(character)[0]
    if category == "M" or character in APOSTROPHES:
        return ""
    return character if category in "LN" else " "


@dataclass
class Catalog:
    """Item ids with what else is known of the items, all in item order.

    An attribute is a list of tag lists (`tags`) or a list of integers and Nones (`integer`).
    """

    ids: list[str]
    titles: list[str] | None = None
    counts: np.ndarray | None = None
    attributes: dict[str, list] = field(default_factory=dict)

    def __post_init__(self):
        if len(set(self.ids)) != len(self.ids):
            raise Problem("item ids are not distinct")
        if not all(self.ids):
            raise Problem("an item has an empty id")

    def __len__(self) -> int:
        return len(self.ids)

    def kinds(self) -> dict[str, str]:
        """The manifest's `attributes`: name → `tags` or `integer`."""
        return {name: "tags" if _is_tags(values) else "integer" for name, values in self.attributes.items()}

    def attribute_values(self) -> np.ndarray:
        """Every attribute's values of each item, numbered across all attributes, i64 [N, m]; -1 where an item has fewer."""
        numbers: dict[tuple, int] = {}
        rows: list[list[int]] = [[] for _ in self.ids]
        for name, column in self.attributes.items():
            for row, given in zip(rows, column):
                values = given if isinstance(given, (list, tuple)) else [] if given is None else [given]
                row += [numbers.setdefault((name, value), len(numbers)) for value in values]
        longest = max(map(len, rows), default=0)
        return np.array([row + [-1] * (longest - len(row)) for row in rows], np.int64).reshape(len(rows), longest)

    def tensors(self) -> dict[str, np.ndarray]:
        """The tensors of the catalog part."""
        tensors = {**string_table("ids", self.ids), "ids.order": byte_order(self.ids)}
        if self.titles is not None:
            keys = [title_key(title) for title in self.titles]
            tensors |= string_table("titles", self.titles)
            tensors |= string_table("title_keys", keys)
            tensors["title_keys.order"] = byte_order(keys)
        if self.counts is not None:
            tensors["counts"] = np.asarray(self.counts, np.uint32)
        for name, values in self.attributes.items():
            tensors |= _tags(name, values) if _is_tags(values) else _integers(name, values)
        return tensors


def string_table(name: str, strings: list[str]) -> dict[str, np.ndarray]:
    """`<name>.offsets` U32 [n+1] and `<name>.bytes` U8."""
    encoded = [string.encode() for string in strings]
    if any(b"\0" in string for string in encoded):
        raise Problem(f"`{name}`: a string holds a NUL character")
    return {f"{name}.offsets": offsets(map(len, encoded)), f"{name}.bytes": np.frombuffer(b"".join(encoded), np.uint8)}


def offsets(lengths) -> np.ndarray:
    """From 0 to the sum of `lengths`, U32 [n+1]."""
    return np.cumsum([0, *lengths]).astype(np.uint32)


def byte_order(strings: list[str]) -> np.ndarray:
    """The items sorted by the bytes of their string, equal strings by item; U32 [n]."""
    return np.array(sorted(range(len(strings)), key=lambda item: strings[item].encode()), np.uint32)


def _is_tags(values: list) -> bool:
    return any(isinstance(value, (list, tuple)) for value in values)


def _tags(name: str, values: list[list[str]]) -> dict[str, np.ndarray]:
    names = sorted({tag for tags in values for tag in tags})
    number = {tag: index for index, tag in enumerate(names)}
    rows = [sorted({number[tag] for tag in tags}) for tags in values]
    return {
        **string_table(f"attribute.{name}.names", names),
        f"attribute.{name}.offsets": offsets(map(len, rows)),
        f"attribute.{name}.values": np.array([tag for row in rows for tag in row], np.uint32),
    }


def _integers(name: str, values: list[int | None]) -> dict[str, np.ndarray]:
    return {f"attribute.{name}": np.array([NO_VALUE if value is None else value for value in values], np.int64)}
