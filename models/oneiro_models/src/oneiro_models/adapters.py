"""Adapters that stay exchangeable: not merged into the weights, but given to the graph beside them, run by run.

Every product of the layers becomes `x·Wᵀ + (x·A)·B`, with A [in, r] and B [r, out] inputs of the graph whose defaults have
r = 0. An adapter is a file of ONNX Runtime's own format (`.onnx_adapter`) with the A and B of the matrices that it changes,
the scale of LoRA in B.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime

from . import Problem
from .checkpoint import Checkpoint, Shape
from .decoder import QUERIES, lengthened
from .graph import Graph
from .lora import Adapter
from .quantise import Product


@dataclass
class Exchangeable(Product):
    """Products that an adapter can add to."""

    inner: Product | None = None

    def __call__(self, graph: Graph, name: str, x: str, weight: np.ndarray, output: str | None = None) -> str:
        found = self.inner(graph, name, x, weight)
        a = graph.exchangeable(f"{name}.lora_a", [weight.shape[1], 0], [weight.shape[1], f"{name}.rank"])
        b = graph.exchangeable(f"{name}.lora_b", [0, weight.shape[0]], [f"{name}.rank", weight.shape[0]])
        low = graph.node("MatMul", [x, a], f"{name}.low")
        added = graph.node("MatMul", [low, b], f"{name}.added")
        return graph.node("Add", [found, added], output or f"{name}.adapted")


def adapter_file(checkpoint: Checkpoint, adapter: Adapter) -> bytes:
    """The `.onnx_adapter` of an adapter of PEFT for the graph of a checkpoint."""
    adapter.check(set(checkpoint.files), checkpoint.shape.tied)
    if adapter.whole:
        raise Problem(f"{adapter.folder}: `{next(iter(adapter.whole))}` is trained as a whole: merge it, or leave it out")
    parameters, known = {}, set()
    for layer in range(checkpoint.shape.layers):
        for name, kinds in PRODUCTS.items():
            own = [f"model.layers.{layer}.{kind}.weight" for kind in kinds]
            known |= set(own)
            found = _factors(checkpoint.shape, adapter, kinds, own)
            if found:
                a, b = found
                parameters[f"layers.{layer}.{name}.lora_a"], parameters[f"layers.{layer}.{name}.lora_b"] = a, b
    other = [name for name in adapter.pairs if name not in known]
    if other:
        raise Problem(f"{adapter.folder}: `{other[0]}` is no matrix of a layer: only those stay exchangeable")
    kept = onnxruntime.AdapterFormat()
    kept.set_adapter_version(1)
    kept.set_model_version(1)
    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value)) for name, value in parameters.items()}
    kept.set_parameters(values)
    with TemporaryDirectory() as folder:
        path = Path(folder, "adapter.onnx_adapter")
        kept.export_adapter(str(path))
        return path.read_bytes()


PRODUCTS = {"qkv": QUERIES, **{f"{kind}_proj": [f"mlp.{kind}_proj"] for kind in ("gate", "up", "down")}}
PRODUCTS["o_proj"] = ["self_attn.o_proj"]
"""The matrices of a layer that are one product in the graph."""


def _factors(shape: Shape, adapter: Adapter, kinds: list[str], names: list[str]) -> tuple[np.ndarray, np.ndarray] | None:
    """A [in, Σr] and B [Σr, out] of matrices one above the other; nothing if the adapter changes none of them."""
    pairs = [adapter.factors(name, *shape.of(kind)) if name in adapter.pairs else None for kind, name in zip(kinds, names)]
    if all(pair is None for pair in pairs):
        return None
    rank = sum(pair[0].shape[0] for pair in pairs if pair)
    blocks, ranks, columns = [], [], 0
    for kind, pair in zip(kinds, pairs):
        out = shape.of(kind)[0]
        block = np.zeros((out, rank), np.float32)
        if pair:
            a, b = pair
            block[:, columns : columns + a.shape[0]] = b
            ranks.append(a)
            columns += a.shape[0]
        blocks.append(lengthened(shape, block) if kind in QUERIES else block)
    a = np.concatenate(ranks)
    if kinds == ["self_attn.o_proj"]:
        a = lengthened(shape, a.T).T
    return a.T, np.concatenate(blocks).T
