"""Puts an interpreter into a bundle that has the language model it was tuned on: an adapter, the layer and the questions."""

from pathlib import Path

import numpy as np

from .. import Problem
from ..adapters import adapter_file
from ..bigrec.export import checked_base
from ..bundle import Bundle, BundleWriter
from ..export_llm import check
from ..language_model import LanguageModel
from ..llara.training import options_of
from ..llara.words import Words
from ..lora import Adapter
from .options import Reading
from .prompts import texts_of
from .tune import check_encoder, digest_of, load_layer

INTERPRETER = "interpreter"
"""What adapter and interpreter are called."""


def export_interpreter(run: Path, base: Path, bundle: Path, encoder: str, out: Path, words: Words, name: str, command: str) -> None:
    """All of a bundle whose first language model was made of the checkpoint `base`, and with the encoder that the run has read."""
    options = options_of(run, Reading)
    given = Bundle(bundle)
    check_encoder(run, digest_of(given, encoder))
    writer = BundleWriter.again(given, out)
    model, contract, checkpoint = checked_base(given, base, words)
    asked = {"language_model": model, "encoder": encoder} | texts_of(name)
    if options.weights != "frozen":
        if not contract.get("adapters"):
            raise Problem(f"the language model of {bundle} takes no adapters: export it with one that is not merged")
        part = f"{model}.{INTERPRETER}"
        writer.part(part, f"{part}.onnx_adapter", adapter_file(checkpoint, Adapter(run / "adapter")))
        contract["adapters"][INTERPRETER] = part
        asked["adapter"] = INTERPRETER
    layer = {name: weight.numpy().astype(np.float32) for name, weight in load_layer(run).state_dict().items()}
    writer.interpreter(INTERPRETER, layer, **asked)
    provenance = writer.manifest.setdefault("provenance", {})
    provenance["command"] = " && ".join(filter(None, [provenance.get("command"), command]))
    writer.finish(lambda written: check(LanguageModel(written, model)))
