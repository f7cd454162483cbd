"""Adds what was tuned on a language model to a bundle that has it: adapters, and what they are for."""

from pathlib import Path

import numpy as np

from . import Problem
from .adapters import adapter_file
from .bigrec.ground import points
from .bundle import Bundle, BundleWriter
from .checkpoint import Checkpoint
from .export_llm import check
from .language_model import LanguageModel, titled, tokenizer_of
from .llara.model import load_checkpoint
from .llara.words import Words
from .lora import Adapter

ALIKE = 0.9
"""The least mean cosine between what a checkpoint and its quantised form make of titles."""
LOOKED_AT = 16


class Added:
    """All of a bundle whose first language model was made of the checkpoint `base`, to be added to: `writer`, the `model` and its
    `contract`.
    """

    def __init__(self, bundle: Path, base: Path, words: Words, out: Path):
        self.given = Bundle(bundle)
        self.writer = BundleWriter.again(self.given, out)
        self.model, self.contract, self.checkpoint = checked_base(self.given, base, words)

    def adapter(self, name: str, folder: Path) -> None:
        """Of PEFT, for that language model, which keeps adapters exchangeable."""
        if not self.contract.get("adapters"):
            raise Problem(f"the language model of {self.given.folder} takes no adapters: export it with one that is not merged")
        part = f"{self.model}.{name}"
        self.writer.part(part, f"{part}.onnx_adapter", adapter_file(self.checkpoint, Adapter(folder)))
        self.contract["adapters"][name] = part

    def finish(self, command: str) -> None:
        """Writes it, with the command that did."""
        provenance = self.writer.manifest.setdefault("provenance", {})
        provenance["command"] = " && ".join(filter(None, [provenance.get("command"), command]))
        self.writer.finish(lambda written: check(LanguageModel(written, self.model)))


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
