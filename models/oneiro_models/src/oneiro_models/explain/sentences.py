"""The prompt, and the sentences that may answer it."""

import re

from ..llara.words import DOMAINS, THINGS

WINDOW = 10
"""The most items of a history in the prompt."""
SEPARATOR = ", "
PROMPT = "{Things} {done}: {history}. Why {candidates}?"
SENTENCES = (
    "Because you have {did} {first}.",
    "Like {first}, {tags}.",
    "Because you have {did} {first} and {second}.",
    "Like {first} and {second}, {tags}.",
)
SLOTS = {slot: "{" + slot + "}" for slot in ("history", "candidates", "first", "second", "tags")}
SLOT = re.compile(r"\{(first|second|tags)\}")


def prompt_of(name: str) -> str:
    """The prompt of a data set, with its slots as the manifest has them."""
    return PROMPT.format(**DOMAINS.get(name, THINGS), **SLOTS)


def sentences_of(name: str, tags: bool) -> list[str]:
    """The sentences of a data set, with their slots; those about tags where it has any."""
    found = [sentence.format(**DOMAINS.get(name, THINGS), **SLOTS) for sentence in SENTENCES]
    return found if tags else [sentence for sentence in found if "{tags}" not in sentence]


def filled(sentences: list[str], titles: list[str], tags: list[str]) -> list[str]:
    """Those that name all of one or two titles, and tags if there are any, as the library fills them in."""
    slots = dict(zip(("first", "second"), titles)) | ({"tags": " and ".join(tags)} if tags else {})
    found = []
    for sentence in sentences:
        wanted = set(SLOT.findall(sentence))
        if wanted <= slots.keys() and ("second" in wanted) == ("second" in slots):
            found.append(SLOT.sub(lambda slot: slots[slot[1]], sentence))
    return found
