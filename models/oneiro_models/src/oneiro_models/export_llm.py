"""Writes a language model as part of a bundle (models/README.md, "Language models"), in as many bits as are asked for."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import numpy as np
from tokenizers import Tokenizer

from . import Problem
from .adapters import Exchangeable, adapter_file
from .bundle import Bundle, BundleWriter, Catalog
from .bundle.table import rows_at, table, values
from .bundle.title_trie import title_trie
from .checkpoint import Checkpoint
from .data.columns import columns
from .decoder import cached_head, decoder_graph, head_graph, tied_head_graph
from .language_model import LanguageModel, log_softmax, piece, titled, tokenizer_of
from .lora import Adapter
from .quantise import lost, product_of

TREE = 1024
"""How many tokens a tree may have after the longest prompt, if nothing else is asked for."""
ROWS = {"f32": "f32", "f16": "f16", "int8": "i8", "int4": "i8"}
"""How the token table is kept beside graphs of each precision."""
WINDOW = 512
"""So many tokens are read together to measure the perplexity, if the context allows."""


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
    precision: str = "f32"
    head_precision: str | None = None
    """The same if not given."""
    block: int = 32
    accuracy: int = 4

    def command(self) -> str:
        """The options that are not as they are by themselves."""
        flags = {"name": "model"}
        own = {field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name) != field.default}
        return "".join(f" --{flags.get(name, name).replace('_', '-')} {shlex.quote(str(value))}" for name, value in own.items())


def export_llm(
    checkpoint: Checkpoint,
    base: BundleWriter,
    titles: list[str],
    written: Written,
    command: str,
    text: Path | None = None,
    show: Callable[[str], None] = lambda line: None,
    adapters: dict[str, Adapter] = MappingProxyType({}),
) -> None:
    """Puts a checkpoint into a bundle as its language model, and writes that; shows what the fewer bits cost, tensor by tensor
    and in the perplexity of a text, and keeps in the bundle's provenance what it comes to.
    """
    errors = add_language_model(base, checkpoint, written, titles, adapters)
    figures = {f"{written.name} error {kind}": error for kind, error in by_kind(errors).items()}
    for tensor, error in errors.items():
        show(f"{tensor}: {error:.2e} of its size lost")
    if text:
        figures |= _perplexities(checkpoint, base, written, text, show)
    provenance = base.manifest.setdefault("provenance", {})
    provenance["command"] = " && ".join(filter(None, [provenance.get("command"), command]))
    provenance["metrics"] = provenance.get("metrics", {}) | {name: float(f"{figure:.4g}") for name, figure in figures.items()}
    base.finish(lambda bundle: check(LanguageModel(bundle, written.name)))


def by_kind(errors: dict[str, float]) -> dict[str, float]:
    """Of each kind of matrix the mean error over the layers, and the worst; the one error of what a model has once."""
    kinds: dict[str, list[float]] = {}
    for tensor, error in errors.items():
        kinds.setdefault(tensor.split(".")[-1], []).append(error)
    found = {}
    for kind, own in kinds.items():
        found |= {kind: own[0]} if len(own) == 1 else {f"{kind} mean": float(np.mean(own)), f"{kind} worst": max(own)}
    return found


def add_language_model(
    bundle: BundleWriter, checkpoint: Checkpoint, written: Written, titles: list[str], adapters: dict[str, Adapter] = MappingProxyType({})
) -> dict[str, float]:
    """The language model with its graph, token table, head and tokenizer, whose names begin with its own unless that is `lm`.
    What each tensor lost, relative to its size, if it is kept in fewer bits.
    """
    shape, name = checkpoint.shape, written.name
    if name in bundle.manifest.get("language_models", {}):
        raise Problem(f"the bundle has a language model `{name}` already: give this one another name")
    lm, tokens, head, tokenizer = (part if name == "lm" else f"{name}.{part}" for part in ("lm", "tokens", "head", "tokenizer"))
    context = min(written.context or shape.context, shape.context)
    packed = max(written.packed or context + TREE, context)
    whole, words = _tokenizers(checkpoint)
    end = None if written.end_of_title is None else whole.token_to_id(written.end_of_title)
    if written.end_of_title is not None and end is None:
        raise Problem(f"the tokenizer has no token `{written.end_of_title}`")
    of_titles = [titled(words, title, end) for title in titles]

    def product(precision: str):
        return product_of(precision, written.block, written.accuracy)

    multiply, head_multiply = product(written.precision), product(written.head_precision or written.precision)
    if adapters:
        multiply = Exchangeable(multiply.errors, multiply)
    prepack = "auto" if written.precision in ("f32", "f16") else "on"
    rows = table(checkpoint.tokens, ROWS[written.precision])
    bundle.token_table(tokens, rows)
    bundle.graph(lm, *decoder_graph(checkpoint, f"{lm}.weights", packed, multiply), prepack)
    contract = {"graph": lm, "tokens": tokens, "head": {"table": tokens} if checkpoint.tied else {}}
    if checkpoint.tied and (written.head_precision or written.precision) == ROWS[written.precision]:
        file = f"{tokens}.safetensors"
        bundle.graph(head, tied_head_graph(rows["rows"], file, rows_at(bundle.files[file])), [tokens], prepack)
    else:
        bundle.graph(head, *head_graph(checkpoint.head, f"{head}.weights", head_multiply), prepack)
    contract["head"]["graph"] = head
    bundle.part(tokenizer, f"{tokenizer}.json", checkpoint.tokenizer)
    contract |= {"tokenizer": tokenizer, "context": context, "packed": packed, "layers": shape.layers}
    contract |= {"kv_heads": shape.kv_heads, "head_size": cached_head(shape)}
    begin = _begun(whole)
    if begin is not None:
        contract["begin"] = begin
    contract["stop"] = checkpoint.stop
    for adapter, kept in adapters.items():
        part = f"{name}.{adapter}"
        bundle.part(part, f"{part}.onnx_adapter", adapter_file(checkpoint, kept))
        contract.setdefault("adapters", {})[adapter] = part
    if end is not None:
        contract["end_of_title"] = end
        if titles:
            part = "title_trie" if name == "lm" else f"{name}.title_trie"
            bundle.table_part(part, title_trie(of_titles))
            contract["titles"] = {"part": part, "tokenizer_sha256": bundle.manifest["parts"][tokenizer]["sha256"]}
    bundle.language_model(name, **contract)
    errors = multiply.errors | head_multiply.errors
    if written.precision != "f32":
        errors["tokens"] = lost(checkpoint.tokens, values(rows))
    return errors


def _tokenizers(checkpoint: Checkpoint) -> tuple[Tokenizer, Tokenizer]:
    """The checkpoint's tokenizer as it is, and as it reads pieces."""
    words = tokenizer_of(checkpoint.tokenizer)
    whole = Tokenizer.from_buffer(checkpoint.tokenizer)
    greatest = max(whole.get_vocab().values())
    if greatest >= checkpoint.shape.vocabulary:
        raise Problem(f"the tokenizer has a token {greatest}, the model only {checkpoint.shape.vocabulary} rows")
    return whole, words


def _begun(tokenizer: Tokenizer) -> int | None:
    """The token that the tokenizer itself puts in front of a text, if it does."""
    own, given = (tokenizer.encode("a", add_special_tokens=special).ids for special in (False, True))
    return given[0] if given[:1] != own[:1] else None


def check(model: LanguageModel) -> None:
    """Refuses a language model that makes no numbers."""
    tokens = [*model.begin, *(np.arange(16) * 7 % len(model.rows)).tolist()][: model.contract["context"]]
    if not np.isfinite(model.logits(model.read(tokens)[0])).all():
        raise Problem(f"the language model `{model.name}` gives logits that are no numbers")


def _perplexities(
    checkpoint: Checkpoint, base: BundleWriter, written: Written, text: Path, show: Callable[[str], None]
) -> dict[str, float]:
    """Of the text, in f32 and as it is written."""
    try:
        words = text.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Problem(f"{text}: {error}") from None
    found = {}
    with TemporaryDirectory() as folder:
        if written.precision != "f32":
            exact = BundleWriter(Path(folder, "exact"), "exact", "")
            add_language_model(exact, checkpoint, replace(written, name="lm", precision="f32", head_precision=None), [])
            found[f"{written.name} perplexity f32"] = perplexity(LanguageModel(Bundle(exact.finish())), words)
        kept = BundleWriter(Path(folder, "kept"), "kept", "")
        kept.manifest, kept.files = base.manifest, base.files
        own = LanguageModel(Bundle(kept.finish()), written.name)
        found[f"{written.name} perplexity {written.precision}"] = perplexity(own, words)
    for name, figure in found.items():
        show(f"{name.removeprefix(written.name + ' ')}: {figure:.4f}")
    return found


def perplexity(model: LanguageModel, text: str) -> float:
    """exp of the mean −log p of a text's tokens, each given those before it in its window."""
    tokens, size = piece(model.tokenizer, text), min(WINDOW, model.contract["context"]) - len(model.begin)
    surprise = []
    for start in range(0, len(tokens), size):
        window = model.begin + tokens[start : start + size]
        hidden = model.read(window)[0][:-1]
        found = log_softmax(model.logits(hidden))[np.arange(len(hidden)), window[1:]]
        surprise.append(-found.astype(np.float64))
    if not sum(map(len, surprise)):
        raise Problem("the text has too few tokens for a perplexity")
    return float(np.exp(np.concatenate(surprise).mean()))


def of_titles(out: Path, titles: Path, name: str, description: str) -> tuple[BundleWriter, list[str]]:
    """A bundle of nothing but the items and titles of a CSV or Parquet file with the columns `item` and `title`; its titles."""
    found = columns(titles, ["item", "title"], strings=["item", "title"]).to_pydict()
    bundle = BundleWriter(out, name, description)
    bundle.catalog(Catalog(found["item"], found["title"], np.zeros(len(found["item"]), np.uint32)))
    recipe = {"steps": [{"retrieve": "popularity", "count": bundle.items}], "cold": "popularity"}
    bundle.manifest |= {"seen": "exclude", "recipe": recipe}
    return bundle, found["title"]


def of_bundle(out: Path, folder: Path) -> tuple[BundleWriter, list[str]]:
    """All of another bundle; its titles."""
    bundle = Bundle(folder)
    return BundleWriter.again(bundle, out), bundle.strings("titles") if "titles.offsets" in bundle.catalog else []
