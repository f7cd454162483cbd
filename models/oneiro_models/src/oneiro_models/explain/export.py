"""Puts an explainer into a bundle that has the language model it was tuned on: an adapter, a prompt and sentences."""

from pathlib import Path

from .. import Problem
from ..adapters import adapter_file
from ..bigrec.export import checked_base
from ..bundle import Bundle, BundleWriter
from ..export_llm import check
from ..language_model import LanguageModel
from ..llara.training import options_of
from ..llara.words import Words
from ..lora import Adapter
from .options import Explaining
from .sentences import SEPARATOR, WINDOW, prompt_of, sentences_of

EXPLAINER = "explainer"
"""What adapter, prompt and explainer are called."""


def export_explainer(run: Path, base: Path, bundle: Path, encoder: str, out: Path, words: Words, name: str, command: str) -> None:
    """All of a bundle whose first language model was made of the checkpoint `base`."""
    options_of(run, Explaining)
    given = Bundle(bundle)
    writer = BundleWriter.again(given, out)
    model, contract, checkpoint = checked_base(given, base, words)
    if not contract.get("adapters"):
        raise Problem(f"the language model of {bundle} takes no adapters: export it with one that is not merged")
    part = f"{model}.{EXPLAINER}"
    writer.part(part, f"{part}.onnx_adapter", adapter_file(checkpoint, Adapter(run / "adapter")))
    contract["adapters"][EXPLAINER] = part
    asked = {"text": prompt_of(name), "separator": SEPARATOR, "history": WINDOW, "candidates": 1}
    writer.prompt(EXPLAINER, language_model=model, adapter=EXPLAINER, **asked)
    tags = "genres" if given.manifest["catalog"]["attributes"].get("genres") == "tags" else None
    writer.explainer(EXPLAINER, prompt=EXPLAINER, encoder=encoder, sentences=sentences_of(name, tags is not None), tags=tags)
    provenance = writer.manifest.setdefault("provenance", {})
    provenance["command"] = " && ".join(filter(None, [provenance.get("command"), command]))
    writer.finish(lambda written: check(LanguageModel(written, model)))
