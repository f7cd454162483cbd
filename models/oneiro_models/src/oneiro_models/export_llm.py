"""Writes a language model as part of a bundle (models/README.md, "Language models")."""

import shlex
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from . import Problem
from .bundle import Bundle, BundleWriter, Catalog
from .bundle.table import rows_at, table
from .checkpoint import Checkpoint
from .data.columns import columns
from .decoder import cached_head, decoder_graph, head_graph, product, tied_head_graph
from .language_model import titled, tokenizer_of

TREE = 1024
"""How many tokens a tree may have after the longest prompt, if nothing else is asked for."""


@dataclass(frozen=True)
class Written:
    """How a language model goes into a bundle."""

    name: str = "lm"
    context: int | None = None
    """The most tokens; the checkpoint's own if not given."""
    packed: int | None = None
    """The most tokens of one run, those of a tree beside what is past; 1024 more than the context if not given."""
    end_of_title: str | None = None
    """A token, by what it says."""

    def command(self) -> str:
        """The options that are not as they are by themselves."""
        flags = {"name": "model"}
        own = {field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name) != field.default}
        return "".join(f" --{flags.get(name, name).replace('_', '-')} {shlex.quote(str(value))}" for name, value in own.items())


def export_llm(folder: Path, base: BundleWriter, titles: list[str], written: Written, command: str) -> None:
    """Puts the checkpoint in `folder` into a bundle as a language model, and writes that."""
    add_language_model(base, Checkpoint(folder), written, titles)
    provenance = base.manifest.setdefault("provenance", {})
    provenance["command"] = " && ".join(filter(None, [provenance.get("command"), command]))
    base.finish()


def of_titles(out: Path, titles: Path, name: str, description: str) -> tuple[BundleWriter, list[str]]:
    """A bundle of nothing but the items and titles of a CSV or Parquet file with the columns `item` and `title`; its titles."""
    table = columns(titles, ["item", "title"], strings=["item", "title"]).to_pydict()
    bundle = BundleWriter(out, name, description)
    bundle.catalog(Catalog(table["item"], table["title"], np.zeros(len(table["item"]), np.uint32)))
    recipe = {"steps": [{"retrieve": "popularity", "count": bundle.items}], "cold": "popularity"}
    bundle.manifest |= {"seen": "exclude", "recipe": recipe}
    return bundle, table["title"]


def of_bundle(out: Path, folder: Path) -> tuple[BundleWriter, list[str]]:
    """All of another bundle; its titles."""
    bundle = Bundle(folder)
    return BundleWriter.again(bundle, out), bundle.strings("titles") if "titles.offsets" in bundle.catalog else []


def add_language_model(bundle: BundleWriter, checkpoint: Checkpoint, written: Written, titles: list[str]) -> None:
    """The language model with its graph, token table, head and tokenizer, whose names begin with its own unless that is `lm`."""
    shape, name = checkpoint.shape, written.name
    lm, tokens, head, tokenizer = (part if name == "lm" else f"{name}.{part}" for part in ("lm", "tokens", "head", "tokenizer"))
    if name in bundle.manifest.get("language_models", {}):
        raise Problem(f"the bundle has a language model `{name}` already: give this one another name")
    context = min(written.context or shape.context, shape.context)
    packed = max(written.packed or context + TREE, context)
    whole, words = Tokenizer.from_buffer(checkpoint.tokenizer), tokenizer_of(checkpoint.tokenizer)
    greatest = max(whole.get_vocab().values())
    if greatest >= shape.vocabulary:
        raise Problem(f"the tokenizer has a token {greatest}, the model only {shape.vocabulary} rows")
    end = None if written.end_of_title is None else whole.token_to_id(written.end_of_title)
    if written.end_of_title is not None and end is None:
        raise Problem(f"the tokenizer has no token `{written.end_of_title}`")
    for title in titles:
        titled(words, title, end)

    bundle.token_table(tokens, table(checkpoint.tokens))
    bundle.graph(lm, *decoder_graph(checkpoint, f"{lm}.weights", packed))
    contract = {"graph": lm, "tokens": tokens, "head": {}}
    if checkpoint.tied:
        contract["head"]["table"] = tokens
        file = f"{tokens}.safetensors"
        bundle.graph(head, tied_head_graph(shape.vocabulary, shape.width, file, rows_at(bundle.files[file])), [tokens])
    else:
        bundle.graph(head, *head_graph(checkpoint.head, f"{head}.weights", product))
    contract["head"]["graph"] = head
    bundle.part(tokenizer, f"{tokenizer}.json", checkpoint.tokenizer)
    contract |= {"tokenizer": tokenizer, "context": context, "packed": packed, "layers": shape.layers}
    contract |= {"kv_heads": shape.kv_heads, "head_size": cached_head(shape)}
    begin = begun(whole)
    if begin is not None:
        contract["begin"] = begin
    contract["stop"] = checkpoint.stop
    if end is not None:
        contract["end_of_title"] = end
    bundle.language_model(name, **contract)


def begun(tokenizer: Tokenizer) -> int | None:
    """The token that the tokenizer itself puts in front of a text, if it does."""
    own, given = (tokenizer.encode("a", add_special_tokens=special).ids for special in (False, True))
    return given[0] if given[:1] != own[:1] else None
