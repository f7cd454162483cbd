"""The bundle models/tiny-lm: the invented films and a seeded untrained Llama with a tokenizer of its own; kilobytes, for tests."""

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, processors

from .bundle import BundleWriter
from .bundle.table import rows_at, table
from .checkpoint import PROJECTIONS, Checkpoint
from .decoder import plain_graph
from .diffusion import Schedule
from .export import Description, add
from .export_llm import Written, add_language_model
from .lora import Adapter
from .networks import DreamRec, Shape
from .tiny import SEED, dreaming, films, invented, made_by

SPECIAL = ["<unk>", "<s>", "</s>", "</title>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
WORDS = 128
"""Characters and longer tokens; a character that is not among them is its bytes."""
COMMON = 3
"""How often a character comes that is a token."""

RANK = 2
PACKED = 384
"""Too few for the tree of all titles at once."""

QUESTION = "After {history} comes one of {candidates}. It is:"
CANDIDATES = 3
ASKED = {
    "recover": "What {state} knows: ",
    "residual": "Between {before} and {after}: ",
    "item": "{item} is: ",
}
REASONS = [
    "Because of {first}.",
    "{first} is {tags} as well.",
    "Because of {first} and {second}.",
    "You have seen {second} and {first}.",
    "{first} and {second} are {tags} too.",
]
WRITTEN = 'After "{history}" comes: '

TEMPLATES = """\
This user has watched {} in the previous. Please predict the next movie this user will watch.
The movie title candidates are {}. Choose only one movie from the candidates. The next is:
"""

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": len(SPECIAL) + len(BYTES) + WORDS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def write_tiny_lm(folder: Path) -> None:
    """The same bytes at every run: the model `lm`, and `plain`, the same in the form of onnxruntime-genai's builder."""
    generator = np.random.default_rng(SEED)
    catalog, cold = invented(generator)
    made = made_by("tiny-lm models/tiny-lm")
    about = Description("tiny-lm", "Forty invented films and an untrained language model, for tests", made)
    bundle = BundleWriter(folder, about.name, about.description)
    bundle.catalog(catalog)
    with TemporaryDirectory() as checkpoint:
        write_checkpoint(Path(checkpoint), CONFIG, generator)
        model = Checkpoint(Path(checkpoint))
        write_adapter(Path(checkpoint), model, generator)
        adapters = {"taste": Adapter(Path(checkpoint))}
        add_language_model(bundle, model, Written(packed=PACKED, end_of_title="</title>"), catalog.titles, adapters)
        graph, weights = plain_graph(model, "lm.weights", PACKED, "tokens.safetensors", rows_at(bundle.files["tokens.safetensors"]))
    assert weights == bundle.files["lm.weights"]
    bundle.graph("plain", graph, ["lm.weights", "tokens"])
    lm = bundle.manifest["language_models"]["lm"]
    plain = {key: value for key, value in lm.items() if key not in ("head", "packed", "adapters")}
    bundle.language_model("plain", **plain | {"graph": "plain"})
    bundle.table("projected", table(generator.normal(0, 0.2, (len(catalog), CONFIG["hidden_size"])).astype(np.float32)), projected="dot")
    asked = {"text": QUESTION, "separator": ", ", "history": 2, "candidates": CANDIDATES}
    bundle.prompt("hybrid", language_model="lm", adapter="taste", rows="projected", answer=CONFIG["bos_token_id"], **asked)
    bundle.prompt("text", language_model="plain", placeholder=0, **asked)
    writes = {"text": WRITTEN, "separator": '", "', "history": 2}
    bundle.prompt("write", language_model="lm", adapter="taste", **writes)
    # Of no meaning: that of a title is not what the model makes of it.
    bundle.table("text", table(generator.normal(0, 1, (len(catalog), CONFIG["hidden_size"])).astype(np.float32)), text="l2")
    bundle.generator("bigrec", prompt="write", space="text", beams=3, tokens=12, weigh="popularity", gamma=0.5)
    network = dreaming(DreamRec(Shape(len(catalog), width=16, window=5), Schedule.of("linear", 50), "mlp1"), generator)
    add(bundle, network, cold, name="affine")
    layer = {"weight": generator.normal(0, 0.1, (CONFIG["hidden_size"], 16)), "bias": generator.normal(0, 0.1, CONFIG["hidden_size"])}
    layer = {name: values.astype(np.float32) for name, values in layer.items()}
    bundle.interpreter("films", layer, language_model="lm", adapter="taste", encoder="affine", beams=64, **ASKED)
    why = {"text": "After {history} see {candidates}: ", "separator": ", ", "history": 2, "candidates": 1}
    bundle.prompt("why", language_model="lm", adapter="taste", **why)
    bundle.explainer("why", prompt="why", encoder="affine", sentences=REASONS, tags="genres")
    steps = [{"retrieve": "popularity", "count": len(catalog)}, {"rank": "language_model", "prompt": "hybrid", "count": CANDIDATES}]
    recipe = {"steps": steps, "cold": "popularity"}
    bundle.finish(seen="exclude", recipe=recipe, provenance=about.provenance)


def write_checkpoint(folder: Path, config: dict, generator: np.random.Generator) -> None:
    """An untrained checkpoint in the form of Hugging Face, all of whose weights come from `generator`."""
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(trained_tokenizer())
    save_file(untrained_weights(Checkpoint(folder), generator), folder / "model.safetensors")


def write_adapter(folder: Path, checkpoint: Checkpoint, generator: np.random.Generator) -> None:
    """An untrained adapter in the form of PEFT, of some of the matrices, to which it adds about half their size."""
    tensors = {}
    for projection in ("self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.down_proj"):
        out, width = checkpoint.shape.of(projection)
        for one, shape, deviation in (("A", (RANK, width), 1 / width**0.5), ("B", (out, RANK), 1 / RANK**0.5)):
            name = f"base_model.model.model.layers.1.{projection}.lora_{one}.weight"
            tensors[name] = generator.normal(0, deviation, shape).astype(np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": RANK}))


def untrained_weights(checkpoint: Checkpoint, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Matrices that keep the size of what goes through them, or double it, so that what is attended to counts."""
    shape, weights = checkpoint.shape, {}

    def drawn(name: str, deviation: float, *sizes: int, centre: float = 0.0) -> None:
        weights[name] = generator.normal(centre, deviation, sizes).astype(np.float32)

    drawn("model.embed_tokens.weight", 0.2, shape.vocabulary, shape.width)
    for layer in range(shape.layers):
        for projection in PROJECTIONS:
            out, width = shape.of(projection)
            drawn(f"model.layers.{layer}.{projection}.weight", 2 / width**0.5, out, width)
            if checkpoint.config["architectures"] == ["Qwen2ForCausalLM"] and projection[-6] in "qkv":
                drawn(f"model.layers.{layer}.{projection}.bias", 0.5, out)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            drawn(f"model.layers.{layer}.{norm}.weight", 0.3, shape.width, centre=1.0)
    drawn("model.norm.weight", 0.3, shape.width, centre=1.0)
    if not shape.tied:
        drawn("lm_head.weight", 0.2, shape.vocabulary, shape.width)
    return weights


def trained_tokenizer() -> str:
    """tokenizer.json of byte pairs of the films and of a template, with bytes for rare characters, as Llama has it."""
    titles, genres = films()
    texts = [*titles, *(tag for tags in genres for tag in tags), *TEMPLATES.splitlines()]
    characters, merges = byte_pairs([word for text in texts for word in text.replace(" ", " ▁").split(" ")])
    vocabulary = [*SPECIAL, *BYTES, *characters, *("".join(merge) for merge in merges)]
    numbers = {token: number for number, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.BPE(numbers, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    spaced = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(spaced)
    return tokenizer.to_str()


def byte_pairs(words: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Characters that come often enough, and what is joined of them, the most frequent pair first (Sennrich et al., arXiv
    1508.07909). Equal counts go by the alphabet: other trainers take either.
    """
    counts = Counter(character for word in words for character in word)
    characters = sorted(character for character, count in counts.items() if count >= COMMON)
    known, split, merges = set(characters), [list(word) for word in words], []
    while len(known) < WORDS:
        pairs = Counter(pair for word in split for pair in zip(word, word[1:]) if known.issuperset(pair))
        merge = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(merge)
        known.add("".join(merge))
        split = [joined(word, merge) for word in split]
    return characters, merges


def joined(word: list[str], merge: tuple[str, str]) -> list[str]:
    """The word with the pair as one token wherever it comes."""
    found: list[str] = []
    for token in word:
        if found and (found[-1], token) == merge:
            found[-1] += token
        else:
            found.append(token)
    return found
