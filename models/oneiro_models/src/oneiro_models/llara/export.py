"""Writes a language model that has learned taste as a part of a bundle, with the prompts that it is asked by."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import Problem
from ..bundle import Bundle, BundleWriter
from ..bundle.table import table
from ..checkpoint import Checkpoint
from ..export_llm import Written, add_language_model, by_kind, check, of_bundle
from ..language_model import LanguageModel
from ..lora import Adapter
from .options import Tuning
from .training import options_of
from .prompts import CANDIDATES, WINDOW
from .recommender import Recommender
from .tokenizer import BEGIN, BETWEEN, END, NO_ROW, SPECIAL
from .tuned import projected
from .words import Words

TASTE = "taste"
"""What the adapter is called, where it stays one."""


def export_taste(
    run: Path, base: Path | None, known: Recommender, bundle: Path, out: Path, words: Words, written: Written, merged: bool, command: str
) -> None:
    """All of a bundle of the same items, with the checkpoint `base`, the adapter of a run of stage 2 (exchangeable, or merged into
    the weights), the rows that its projector makes, and a prompt with and one without them.

    A bundle whose titles are not those that the run has read is refused.
    """
    options = options_of(run, Tuning)
    writer, titles = of_bundle(out, bundle)
    if titles != words.titles:
        raise Problem(f"{bundle} has other titles than {run} has read")
    if options.weights != "full" and base is None:
        raise Problem(f"{run} is an adapter: name the checkpoint that it is for with --base")
    written = replace(written, end_of_title=SPECIAL[END])
    adapter, adapters = None, {}
    if options.weights == "full":
        checkpoint = Checkpoint(run / "checkpoint")
    elif merged:
        checkpoint = Checkpoint(base, Adapter(run / "adapter"))
    else:
        checkpoint, adapter, adapters = Checkpoint(base), TASTE, {TASTE: Adapter(run / "adapter")}
    errors = add_language_model(writer, checkpoint, written, titles, adapters)
    asked = {"language_model": written.name, "adapter": adapter, "history": WINDOW, "candidates": CANDIDATES}
    asked |= {"text": words.templates[0], "separator": BETWEEN, "answer": BEGIN}
    if options.curriculum != "text":
        rows = projected(run, known.rows).numpy()
        kept = f"{written.name}.rows"
        writer.table(kept, table(rows.astype(np.float32), "f16"), **{kept: "dot"})
        writer.prompt("taste", rows=kept, **asked)
    writer.prompt("text", placeholder=NO_ROW, **asked)
    provenance = writer.manifest.setdefault("provenance", {})
    provenance["command"] = " && ".join(filter(None, [provenance.get("command"), command]))
    figures = {f"{written.name} error {kind}": float(f"{error:.4g}") for kind, error in by_kind(errors).items()}
    provenance["metrics"] = provenance.get("metrics", {}) | figures
    writer.finish(lambda bundle: check(LanguageModel(bundle, written.name)))
