"""What stage 1 reads: histories written as titles, from training events alone, packed into rows of equal length.

A document is a list, a random window of somebody's history, every title ended:

    <begin> Alien</title>, Brazil</title>, Jaws</title>

all in one style: as prompts have them, or with or without years, or with genres. Half of the documents are one title of the
catalog, any, of which nothing is learned but how it goes on: one that few people chose would else be misspelled, and no score of
a title could be compared with another's. Or, for the share `prompts` of the documents,
a prompt of text alone (`prompts.py`) with up to twenty candidates and, one after the other, several answers, all of which are
among them: the items that came next. One answer a prompt is too rare a lesson: a small model learned what comes next from it,
but not that it has to choose.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .prompts import CANDIDATES, WINDOW, Prompt, answer, choice, prompt
from .tokenizer import BEGIN, END, NO_ROW, PAD, ROW_OF_HISTORY, Pieces

LONGEST = 20
"""The most items of a list."""
SPELLED = 0.5
"""The share of documents that are one title."""
PLAIN = 0.9
"""The share of lists in the style that prompts have; the others share the rest."""
ANSWERS = 10
"""The most answers of a prompt."""
BEHIND = (NO_ROW, ROW_OF_HISTORY)
"""Placeholders of a history."""
IGNORED = -100
"""The label of a token that nothing is learned from."""

Document = tuple[list[int], list[int]]
"""Tokens, and for each its label: itself, or `IGNORED`."""


def listed(pieces: Pieces, items: list[int], style: int = 0) -> Document:
    """A list of items; its first token is no question."""
    tokens = [BEGIN]
    for number, item in enumerate(items):
        tokens += [*(pieces.between if number else []), *pieces.styles[style][item], END]
    return tokens, [IGNORED, *tokens[1:]]


def spelled(pieces: Pieces, item: int, style: int = 0) -> Document:
    """One title, and nothing learned of how it begins."""
    tokens, labels = listed(pieces, [item], style)
    return tokens, [IGNORED, IGNORED, *labels[2:]]


def answered(asked: Prompt, answers: list[int], history: bool) -> Document:
    """A prompt and what is said to it, which is learned; of the prompt nothing, or its `history` too: what its titles say of those
    after them. What stands behind titles, and the candidates, most of them by lot, never are.
    """
    learned = asked.history if history else 1
    said = [IGNORED if token in BEHIND else token for token in asked.tokens[1:learned]]
    return asked.tokens + answers, [IGNORED, *said, *[IGNORED] * (len(asked.tokens) - learned), *answers]


class Documents:
    """Documents of these histories, drawn with a generator."""

    def __init__(self, pieces: Pieces, histories: list[np.ndarray], items: int, prompts: float, left_out: float = 0.0):
        self.pieces, self.histories, self.items = pieces, histories, items
        self.prompts, self.left_out = prompts, left_out
        lengths = np.array([len(history) for history in histories])
        self.odds = lengths / lengths.sum()
        """Every event is as likely as any other to be in a window."""

    def draw(self, generator: np.random.Generator) -> Document:
        styles = len(self.pieces.styles)
        style = 0 if styles == 1 or generator.random() < PLAIN else int(generator.integers(1, styles))
        if generator.random() < SPELLED:
            return spelled(self.pieces, int(generator.integers(self.items)), style)
        history = self.histories[generator.choice(len(self.histories), p=self.odds)]
        kept = history[generator.random(len(history)) >= self.left_out]
        history = kept if len(kept) > 1 else history
        if generator.random() < self.prompts and len(history) > 2:
            return self._prompt(generator, history)
        size = int(generator.integers(2, min(LONGEST, len(history)) + 1))
        start = int(generator.integers(len(history) - size + 1))
        return listed(self.pieces, history[start : start + size].tolist(), style)

    def _prompt(self, generator: np.random.Generator, history: np.ndarray) -> Document:
        place = int(generator.integers(2, len(history)))
        size = int(generator.integers(1, min(WINDOW, place) + 1))
        count = int(generator.integers(2, CANDIDATES + 1))
        past, templates = history[place - size : place], len(self.pieces.templates)
        several = int(generator.integers(1, min(ANSWERS, count - 1) + 1))
        answers = list(dict.fromkeys(history[place : place + several].tolist()))
        question = choice(generator, past, answers[0], self.items, templates, count, answers[1:])
        said = [token for item in answers for token in [BEGIN, *answer(self.pieces, item)]]
        return answered(prompt(self.pieces, question, rows=False), said, history=True)

    def batch(self, generator: np.random.Generator, rows: int, length: int) -> "Packed":
        """Rows full of documents: each is cut where its row ends."""
        return Packed.of([list(self._filled(generator, length)) for _ in range(rows)], length)

    def _filled(self, generator: np.random.Generator, length: int) -> Iterator[Document]:
        left = length
        while left > 1:
            tokens, labels = self.draw(generator)
            yield tokens[:left], labels[:left]
            left -= len(tokens)


@dataclass(frozen=True)
class Packed:
    """Tokens, labels and positions i64 [B, L], and who looks at whom, bool [B, 1, L, L]: none beyond their own document."""

    tokens: Tensor
    labels: Tensor
    positions: Tensor
    attends: Tensor

    @classmethod
    def of(cls, rows: list[list[Document]], length: int) -> "Packed":
        tokens = torch.full((len(rows), length), PAD)
        labels, positions, documents = torch.full_like(tokens, IGNORED), torch.zeros_like(tokens), torch.full_like(tokens, -1)
        for row, found in enumerate(rows):
            start = 0
            for number, (own, learned) in enumerate(found):
                part = slice(start, start := start + len(own))
                tokens[row, part], labels[row, part] = torch.tensor(own), torch.tensor(learned)
                positions[row, part], documents[row, part] = torch.arange(len(own)), number
        earlier = torch.arange(length)[:, None] >= torch.arange(length)
        return cls(tokens, labels, positions, ((documents[:, :, None] == documents[:, None]) & earlier)[:, None])
