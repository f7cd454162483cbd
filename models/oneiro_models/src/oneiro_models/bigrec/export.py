"""Puts a writer into a bundle that has the language model it was tuned on: an adapter, a prompt, what the model makes of every
title, and a generator.
"""

from pathlib import Path

import numpy as np

from .. import Problem
from ..adapters import adapter_file
from ..bundle import Bundle, BundleWriter
from ..bundle.table import table
from ..checkpoint import Checkpoint
from ..export_llm import check
from ..language_model import LanguageModel, titled
from ..llara.training import options_of
from ..llara.words import Words
from ..lora import Adapter
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
    given = Bundle(bundle)
    writer = BundleWriter.again(given, out)
    models = writer.manifest.get("language_models", {})
    if not models:
        raise Problem(f"{bundle} has no language model: put one there first, with export-taste or export-llm")
    model, contract = next(iter(models.items()))
    if given.strings("titles") != words.titles:
        raise Problem(f"{bundle} has other titles than {run} has read")
    checkpoint = Checkpoint(base)
    if given.path(contract["tokenizer"]).read_bytes() != checkpoint.tokenizer:
        raise Problem(f"{base} is not what the language model of {bundle} was made of: it has another tokenizer")
    if not contract.get("adapters"):
        raise Problem(f"the language model of {bundle} takes no adapters: export it with one that is not merged")
    part = f"{model}.{WRITER}"
    writer.part(part, f"{part}.onnx_adapter", adapter_file(checkpoint, Adapter(run / "adapter")))
    contract["adapters"][WRITER] = part
    writer.prompt(WRITER, language_model=model, adapter=WRITER, text=text_of(name), separator=SEPARATOR, history=WINDOW)
    rows = f"{model}.titles"
    writer.table(rows, table(of_titles(given, model), "f16"), **{rows: "l2"})
    weighs = {"weigh": weigh, "gamma": gamma} if weigh else {}
    writer.generator(WRITER, prompt=WRITER, space=rows, beams=BEAMS, tokens=TOKENS, **weighs)
    provenance = writer.manifest.setdefault("provenance", {})
    provenance["command"] = " && ".join(filter(None, [provenance.get("command"), command]))
    writer.finish(lambda written: check(LanguageModel(written, model)))


def of_titles(bundle: Bundle, name: str) -> np.ndarray:
    """What the bundle's own model, without an adapter, makes of every title; f32 [N, D]."""
    model = LanguageModel(bundle, name)
    read = [model.read(model.begin + titled(model.tokenizer, title, None))[0][-1] for title in bundle.strings("titles")]
    return np.stack(read).astype(np.float32)
