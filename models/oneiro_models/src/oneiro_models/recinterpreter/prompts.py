"""Questions about states as tokens, and their answers.

    recover:   <begin> … <state> … Heat </title> Jaws </title> … </title>      the latest item first, ten at most, and a second end
    residual:  <begin> … <before> … <after> … Jaws </title>
    item:      <begin> <item> … Jaws </title>

The words are ours. The authors ask for the titles from the first to the last; a state knows the latest best, and a list that is
cut short here has those.
"""

import re
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

from ..language_model import piece, tokenizer_of
from ..llara.tokenizer import BEGIN, END, NO_ROW
from ..llara.words import DOMAINS, THINGS

LISTED = 10
"""The most titles of an answer."""
TEXTS = {
    "recover": "{Things} that were {done}, the latest first: {state}:",
    "residual": "{state_before} and then {state_after}. The {thing} between:",
    "item": "{state}. The {thing}:",
}
SLOT = re.compile(r"\{(?:state|before|after|item)\}")


def texts_of(name: str) -> dict[str, str]:
    """The texts of a data set, with their slots as the manifest has them."""
    words = DOMAINS.get(name, THINGS)
    slots = {
        "recover": {"state": "{state}"},
        "residual": {"state_before": "{before}", "state_after": "{after}"},
        "item": {"state": "{item}"},
    }
    return {kind: text.format(**words, **slots[kind]) for kind, text in TEXTS.items()}


@dataclass(frozen=True)
class Question:
    """A prompt up to where the answer begins: tokens, and the places where vectors stand, in their order."""

    tokens: list[int]
    places: list[int]


class Questions:
    """The three questions in tokens, and what is said to them in the titles of one catalog."""

    def __init__(self, tokenizer: Tokenizer, titles: list[list[int]], name: str):
        plain = tokenizer_of(tokenizer.to_str().encode())
        self.titles, self.asked = titles, {}
        for kind, text in texts_of(name).items():
            tokens, places = [BEGIN], []
            for number, part in enumerate(SLOT.split(text)):
                if number:
                    places.append(len(tokens))
                    tokens.append(NO_ROW)
                tokens += piece(plain, part)
            self.asked[kind] = Question(tokens, places)

    def recovered(self, history: np.ndarray) -> list[int]:
        """The answer to `recover`: each title once, where it came last."""
        latest = list(dict.fromkeys(history[::-1].tolist()))[:LISTED]
        return [token for item in latest for token in self.named(item)] + [END]

    def named(self, item: int) -> list[int]:
        """The answer to the others."""
        return [*self.titles[item], END]
