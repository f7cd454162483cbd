"""Puts an explainer into a bundle that has the language model it was tuned on: an adapter, a prompt and sentences."""

from pathlib import Path

from ..added import Added
from ..llara.training import options_of
from ..llara.words import Words
from .options import Explaining
from .sentences import SEPARATOR, WINDOW, prompt_of, sentences_of

EXPLAINER = "explainer"
"""What adapter, prompt and explainer are called."""


def export_explainer(run: Path, base: Path, bundle: Path, encoder: str, out: Path, words: Words, name: str, command: str) -> None:
    """All of a bundle whose first language model was made of the checkpoint `base`."""
    options_of(run, Explaining)
    added = Added(bundle, base, words, out)
    added.adapter(EXPLAINER, run / "adapter")
    asked = {"text": prompt_of(name), "separator": SEPARATOR, "history": WINDOW, "candidates": 1}
    added.writer.prompt(EXPLAINER, language_model=added.model, adapter=EXPLAINER, **asked)
    tags = "genres" if added.given.manifest["catalog"]["attributes"].get("genres") == "tags" else None
    sentences = sentences_of(name, tags is not None)
    added.writer.explainer(EXPLAINER, prompt=EXPLAINER, encoder=encoder, sentences=sentences, tags=tags)
    added.finish(command)
