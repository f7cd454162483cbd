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
from ..language_model import LanguageModel, titled, tokenizer_of
from ..llara.model import load_checkpoint
from ..llara.training import options_of
from ..llara.words import Words
from ..lora import Adapter
from .evaluate import BEAMS, TOKENS
from .ground import points
from .options import Writing
from .prompts import SEPARATOR, WINDOW, text_of

ALIKE = 0.9
"""The least mean cosine between what a checkpoint and its quantised form make of titles."""
LOOKED_AT = 16
WRITER = "bigrec"
"""What adapter, prompt and generator are called."""


def export_writer(
    run: Path, base: Path, bundle: Path, out: Path, words: Words, name: str, weigh: str | None, gamma: float, command: str
) -> None:
    """All of a bundle whose first language model was made of the checkpoint `base`, and which keeps adapters exchangeable."""
    options_of(run, Writing)
    given = Bundle(bundle)
    writer = BundleWriter.again(given, out)
    model, contract, checkpoint = checked_base(given, base, words)
    if not contract.get("adapters"):
        raise Problem(f"the language model of {bundle} takes no adapters: export it with one that is not merged")
    part = f"{model}.{WRITER}"
    writer.part(part, f"{part}.onnx_adapter", adapter_file(checkpoint, Adapter(run / "adapter")))
    contract["adapters"][WRITER] = part
    writer.prompt(WRITER, language_model=model, adapter=WRITER, text=text_of(name), separator=SEPARATOR, history=WINDOW)
    rows, points_of = f"{model}.titles", of_titles(given, model, len(words.titles))
    writer.table(rows, table(points_of, "f16"), **{rows: "l2"})
    weighs = {"weigh": weigh, "gamma": gamma} if weigh else {}
    writer.generator(WRITER, prompt=WRITER, space=rows, beams=BEAMS, tokens=TOKENS, **weighs)
    provenance = writer.manifest.setdefault("provenance", {})
    provenance["command"] = " && ".join(filter(None, [provenance.get("command"), command]))
    writer.finish(lambda written: check(LanguageModel(written, model)))


def checked_base(bundle: Bundle, base: Path, words: Words) -> tuple[str, dict, Checkpoint]:
    """The first language model of a bundle, its contract and the checkpoint that it was made of, for these titles.

    The tokenizers are the same, and the two make about the same of the first titles: all but what quantising changes.
    """
    models = bundle.manifest.get("language_models", {})
    if not models:
        raise Problem(f"{bundle.folder} has no language model: put one there first, with export-taste or export-llm")
    model, contract = next(iter(models.items()))
    if bundle.strings("titles") != words.titles:
        raise Problem(f"{bundle.folder} has other titles than the run has read")
    checkpoint = Checkpoint(base)
    if bundle.path(contract["tokenizer"]).read_bytes() != checkpoint.tokenizer:
        raise Problem(f"{base} is not what the language model of {bundle.folder} was made of: it has another tokenizer")
    plain = tokenizer_of(checkpoint.tokenizer)
    own = points(load_checkpoint(base)[0], [titled(plain, title.strip('"'), None) for title in words.titles[:LOOKED_AT]])
    other = of_titles(bundle, model, LOOKED_AT)
    alike = own.shape == other.shape
    if alike:
        cosines = (own * other).sum(1) / np.maximum(np.linalg.norm(own, axis=1) * np.linalg.norm(other, axis=1), 1e-12)
        alike = cosines.mean() > ALIKE
    if not alike:
        raise Problem(f"{base} is not what the language model of {bundle.folder} was made of: it makes other points of the titles")
    return model, contract, checkpoint


def of_titles(bundle: Bundle, name: str, count: int) -> np.ndarray:
    """What the bundle's own model, without an adapter, makes of its first titles, without double quotes around them; f32 [n, D]."""
    model = LanguageModel(bundle, name)
    bare = [title.strip('"') for title in bundle.strings("titles")[:count]]
    read = [model.read(model.begin + titled(model.tokenizer, title, None))[0][-1] for title in bare]
    return np.stack(read).astype(np.float32)
