"""BIGRec's prompts as tokens.

The layout is the authors', without the line of preamble before it, the words are ours: titles in double quotes, the oldest first, a line with a space behind the input.
The quote that opens the answer belongs to the prompt here, and what closes it is the token that ends a title: so that what may
follow the prompt is a title of the catalog, and nothing else need be.
"""

import numpy as np
from tokenizers import Tokenizer

from ..language_model import piece, tokenizer_of
from ..llara.prompts import WINDOW
from ..llara.tokenizer import BEGIN, END
from ..llara.words import DOMAINS, HISTORY, THINGS

SEPARATOR = '", "'
TEXT = (
    "### Instruction:\nFrom the {things} that this user has {did}, recommend a new one.\n\n"
    '### Input:\nThis user has {did} these before: "{history}"\n \n'
    '### Response:\n"'
)


def text_of(name: str) -> str:
    """The prompt of a data set, with its slot."""
    return TEXT.format(**DOMAINS.get(name, THINGS), history=HISTORY)


class Prompts:
    """Prompts and answers of one catalog, whose titles have these tokens."""

    def __init__(self, tokenizer: Tokenizer, titles: list[list[int]], name: str):
        plain = tokenizer_of(tokenizer.to_str().encode())
        before, after = text_of(name).split(HISTORY)
        self.before, self.between, self.after = (piece(plain, text) for text in (before, SEPARATOR, after))
        self.titles = titles

    def prompt(self, history: np.ndarray) -> list[int]:
        """About the last items of a history."""
        tokens = [BEGIN, *self.before]
        for number, item in enumerate(history[-WINDOW:].tolist()):
            tokens += [*(self.between if number else []), *self.titles[item]]
        return tokens + self.after

    def answer(self, item: int) -> list[int]:
        return [*self.titles[item], END]
