"""The bundle models/tiny-lm-int: the invented films and untrained networks of 4 and 8 bits; kilobytes, for tests."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from safetensors.numpy import load_file, save_file

from .bundle import BundleWriter
from .checkpoint import Checkpoint
from .decoder import decoder_graph, head_graph
from .export import Description
from .export_llm import Written, add_language_model
from .quantise import product_of
from .tiny import SEED, invented, made_by
from .tiny_lm import CONFIG, write_checkpoint

LLAMA = CONFIG | {"hidden_size": 64, "intermediate_size": 160, "tie_word_embeddings": False}
"""Widths in blocks of 32, one below the 128 numbers that the library rounds together, one above."""
QWEN2 = LLAMA | {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "intermediate_size": 96, "num_hidden_layers": 1}

PACKED = 160
"""The context, and a small tree."""


def write_tiny_lm_int(folder: Path) -> None:
    """The same bytes at every run. One Llama is `lm` in int4, `exact` with the same weights multiplied in f32, and `int8`;
    `qwen2`, with biases, stands between the rows and the head of `lm`.
    """
    generator = np.random.default_rng(SEED)
    catalog, _ = invented(generator)
    made = made_by("tiny-lm-int models/tiny-lm-int")
    about = Description("tiny-lm-int", "Forty invented films and untrained language models of few bits, for tests", made)
    bundle = BundleWriter(folder, about.name, about.description)
    bundle.catalog(catalog)
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        llama, qwen2 = (steady(Path(place), config, generator) for place, config in ((one, LLAMA), (other, QWEN2)))
        add_language_model(bundle, llama, Written(packed=PACKED, end_of_title="</title>", precision="int4"), catalog.titles)
        exact = product_of("int4", accuracy=1)
        add_graph(bundle, "exact", *decoder_graph(llama, "lm.weights", PACKED, exact), "lm.weights")
        add_graph(bundle, "exact.head", *head_graph(llama.head, "head.weights", exact), "head.weights")
        int8 = product_of("int8")
        bundle.graph("int8", *decoder_graph(llama, "int8.weights", PACKED, int8), "on")
        bundle.graph("int8.head", *head_graph(llama.head, "int8.head.weights", int8), "on")
        bundle.graph("qwen2", *decoder_graph(qwen2, "qwen2.weights", PACKED, product_of("int4")), "on")
    lm = bundle.manifest["language_models"]["lm"]
    for name, own in {
        "exact": {"head": {"graph": "exact.head"}},
        "int8": {"head": {"graph": "int8.head"}},
        "qwen2": {"layers": QWEN2["num_hidden_layers"]},
    }.items():
        bundle.language_model(name, **lm | own | {"graph": name})
    recipe = {"steps": [{"retrieve": "popularity", "count": len(catalog)}], "cold": "popularity"}
    bundle.finish(seen="exclude", recipe=recipe, provenance=about.provenance)


def add_graph(bundle: BundleWriter, name: str, model: bytes, weights: bytes, part: str) -> None:
    """A graph whose weights are those of another."""
    assert weights == bundle.files[part]
    bundle.graph(name, model, [part], "on")


def steady(folder: Path, config: dict, generator: np.random.Generator) -> Checkpoint:
    """An untrained checkpoint that takes roundings as trained ones do: layers add little to the rows, and after most tokens one
    is clearly the likeliest.
    """
    write_checkpoint(folder, config, generator)
    weights = load_file(folder / "model.safetensors")
    for name in weights:
        if "proj.weight" in name:
            weights[name] *= 0.4
    weights["model.embed_tokens.weight"] *= 2
    weights["lm_head.weight"] += np.roll(weights["model.embed_tokens.weight"], 1, axis=0)
    save_file(weights, folder / "model.safetensors")
    return Checkpoint(folder)
