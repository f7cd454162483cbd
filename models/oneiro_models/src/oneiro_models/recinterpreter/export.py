"""Puts an interpreter into a bundle that has the language model it was tuned on: an adapter, the layer and the questions."""

from pathlib import Path

import numpy as np

from ..added import Added
from ..bundle import Bundle
from ..llara.training import options_of
from ..llara.words import Words
from .options import Reading
from .prompts import texts_of
from .tune import check_encoder, digest_of, load_layer

INTERPRETER = "interpreter"
"""What adapter and interpreter are called."""


def export_interpreter(run: Path, base: Path, bundle: Path, encoder: str, out: Path, words: Words, name: str, command: str) -> None:
    """All of a bundle whose first language model was made of the checkpoint `base`, and with the encoder that the run has read."""
    options = options_of(run, Reading)
    check_encoder(run, digest_of(Bundle(bundle), encoder))
    added = Added(bundle, base, words, out)
    asked = {"language_model": added.model, "encoder": encoder} | texts_of(name)
    if options.weights != "frozen":
        added.adapter(INTERPRETER, run / "adapter")
        asked["adapter"] = INTERPRETER
    layer = {name: weight.numpy().astype(np.float32) for name, weight in load_layer(run).state_dict().items()}
    added.writer.interpreter(INTERPRETER, layer, **asked)
    added.finish(command)
