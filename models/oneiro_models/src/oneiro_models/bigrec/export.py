"""Puts a writer into a bundle that has the language model it was tuned on: an adapter, a prompt, what the model makes of every
title, and a generator.
"""

from pathlib import Path

from ..added import Added, of_titles
from ..bundle.table import table
from ..llara.training import options_of
from ..llara.words import Words
from .evaluate import BEAMS, TOKENS
from .options import Writing
from .prompts import SEPARATOR, WINDOW, text_of

WRITER = "bigrec"
"""What adapter, prompt and generator are called."""


def export_writer(
    run: Path, base: Path, bundle: Path, out: Path, words: Words, name: str, weigh: str | None, gamma: float, command: str
) -> None:
    """All of a bundle whose first language model was made of the checkpoint `base`, and which keeps adapters exchangeable."""
    options_of(run, Writing)
    added = Added(bundle, base, words, out)
    added.adapter(WRITER, run / "adapter")
    added.writer.prompt(WRITER, language_model=added.model, adapter=WRITER, text=text_of(name), separator=SEPARATOR, history=WINDOW)
    rows = f"{added.model}.titles"
    points_of = of_titles(added.given, added.model, len(words.titles))
    added.writer.table(rows, table(points_of, "f16"), **{rows: "l2"})
    weighs = {"weigh": weigh, "gamma": gamma} if weigh else {}
    added.writer.generator(WRITER, prompt=WRITER, space=rows, beams=BEAMS, tokens=TOKENS, **weighs)
    added.finish(command)
