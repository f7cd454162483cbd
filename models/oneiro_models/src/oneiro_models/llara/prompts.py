"""Prompts of LLaRA as tokens: what is read, and the answer that is learned.

An item is its title and a placeholder, items are joined with ", ". The answer stands behind a second token of beginning:

    <begin> … Alien<history>, Brazil<history> … Heat<candidate>, Jaws<candidate> … Answer: <begin> Jaws </title>

In a prompt of text alone `<text>` stands in place of both placeholders. Title and placeholder are pieces of their own, so that
a title has the same tokens in the history, among the candidates and as the answer. (The authors' tokenizer cuts at the
placeholders too, but encodes `, Jaws` as one piece.)
"""

from dataclasses import dataclass

import numpy as np

from .tokenizer import BEGIN, END, NO_ROW, ROW_OF_CANDIDATE, ROW_OF_HISTORY, Pieces

CANDIDATES = 20
WINDOW = 10
"""The most items of a history."""
LEAST = 3
"""LLaRA asks nothing of shorter histories."""


@dataclass(frozen=True)
class Choice:
    """A question: which of the candidates came after the history? `template` is the number of the one to ask by."""

    history: np.ndarray
    candidates: np.ndarray
    target: int
    template: int


@dataclass(frozen=True)
class Prompt:
    """The tokens up to the second beginning, which is not among them, and the items whose rows take the place of the tokens at
    `places`, in the order of the text.
    """

    tokens: list[int]
    places: list[int]
    items: list[int]
    history: int
    """Where the history ends: so many tokens, the last item's placeholder among them."""


def prompt(pieces: Pieces, choice: Choice, rows: bool) -> Prompt:
    """With places for rows, or of text alone."""
    tokens, places, items, ends = [BEGIN], [], [], []
    before, between, after = pieces.templates[choice.template]
    for text, listed, placeholder in ((before, choice.history, ROW_OF_HISTORY), (between, choice.candidates, ROW_OF_CANDIDATE)):
        tokens += text
        for number, item in enumerate(listed.tolist()):
            tokens += pieces.between if number else []
            tokens += pieces.titles[item]
            places.append(len(tokens))
            items.append(item)
            tokens.append(placeholder if rows else NO_ROW)
        ends.append(len(tokens))
    tokens += after
    return Prompt(tokens, places, items, ends[0]) if rows else Prompt(tokens, [], [], ends[0])


def answer(pieces: Pieces, item: int) -> list[int]:
    """What is learned, and what a title is scored by: the second beginning alone is not."""
    return [*pieces.titles[item], END]


def choice(
    generator: np.random.Generator,
    history: np.ndarray,
    target: int,
    items: int,
    templates: int,
    count: int = CANDIDATES,
    beside: list[int] = (),
) -> Choice:
    """The target, those `beside` it and items drawn from all that are not in the history, in any order; and a template."""
    known = np.array([target, *beside])
    free = np.setdiff1d(np.arange(items), np.append(history, known))
    others = generator.choice(free, count - len(known), replace=False)
    candidates = generator.permutation(np.append(others, known))
    return Choice(history, candidates, target, int(generator.integers(templates)))
