"""Applies ONNX Runtime's optimisations to the graphs of a bundle ahead of time: what opens need not do them again."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from . import Problem
from .bundle import Bundle, BundleWriter
from .graph import external
from .inference import Encoder

TOLERANCE = 1e-5
"""How far a state may move, relative to its largest number: the optimisations reorder sums."""

FUSED = {"BiasGelu", "FastGelu", "FusedGemm", "FusedMatMul", "Gelu", "QuickGelu", "SkipLayerNormalization"}
"""Operators of `com.microsoft` that optimising may bring in and that a bundle may have (src/graph/check.rs)."""

LAID_OUT = {"Conv", "ConvTranspose", "MaxPool", "AveragePool"}
"""ONNX Runtime gives these a layout for the processor at hand when it opens a model; that must not be written."""


def optimise(folder: Path) -> dict[str, str]:
    """Rewrites the bundle in `folder`; what became of each graph, by name."""
    bundle = Bundle(folder)
    writer = BundleWriter.again(bundle, folder)
    changes = {}
    graphs = bundle.manifest.get("graphs", {})
    holders = Counter(part for entry in graphs.values() for part in [entry["model"], *entry.get("weights", [])])
    for name, entry in graphs.items():
        if entry.get("optimised"):
            changes[name] = "optimised before"
        elif any(holders[part] > 1 for part in [entry["model"], *entry.get("weights", [])]):
            changes[name] = "left as it is: another graph has parts of it, too"
        elif len(entry.get("weights", [])) != 1:
            changes[name] = "left as it is: its weights are not one part"
        else:
            (weights,) = entry["weights"]
            file = bundle.manifest["parts"][weights]["file"]
            found = optimised(bundle.path(entry["model"]), file)
            if isinstance(found, str):
                changes[name] = f"left as it is: {found}"
                continue
            writer.part(entry["model"], bundle.manifest["parts"][entry["model"]]["file"], found[0])
            writer.part(weights, file, found[1])
            entry["optimised"] = True
            changes[name] = "optimised"
    if "optimised" in changes.values():
        writer.finish(lambda written: _check(bundle, written))
    return changes


def _check(before: Bundle, after: Bundle) -> None:
    """Fails if an encoder answers otherwise, over histories of every length."""
    generator = np.random.default_rng(0)
    for name in before.manifest.get("encoders", {}):
        old, new = Encoder(before, name), Encoder(after, name)
        warm = np.flatnonzero(old.cold == 0)
        for length in range(old.window + 1):
            history = generator.choice(warm, length)
            expected = old(history)
            moved = np.abs(new(history) - expected).max() / max(np.abs(expected).max(), 1e-30)
            if moved > TOLERANCE:
                raise Problem(f"encoder `{name}` answers otherwise once optimised: by {moved:.2g} (allowed {TOLERANCE:.0g})")


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph and of the graphs inside it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                yield from _nodes(inner)


def optimised(path: Path, weights_file: str) -> tuple[bytes, bytes] | str:
    """The optimised model and its external data, or why there is none."""
    model = onnx.load(path)
    if any(node.op_type in LAID_OUT for node in _nodes(model.graph)):
        return "ONNX Runtime lays out its convolutions for each processor"
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "optimised.onnx")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(target)
        try:
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own types are not to be named
            raise Problem(f"{path}: ONNX Runtime refuses the model: {error}") from None
        found = onnx.load(target)
    foreign = {node.op_type for node in _nodes(found.graph) if node.domain not in ("", "ai.onnx")} - FUSED
    if foreign or found.functions:
        return f"optimised it has operators that a bundle may not have: {', '.join(sorted(foreign))}"
    used = {node.domain for node in _nodes(found.graph)}
    opsets = [opset for opset in found.opset_import if opset.domain in used]
    found.ClearField("opset_import")
    found.opset_import.extend(opsets)
    weights = bytearray()
    tensors = [external(tensor.name, numpy_helper.to_array(tensor), weights_file, weights) for tensor in found.graph.initializer]
    found.graph.ClearField("initializer")
    found.graph.initializer.extend(tensors)
    return found.SerializeToString(deterministic=True), bytes(weights)
