"""GRU4Rec as an encoder graph: ONNX's own recurrent operator, stopped at each history's length.

ONNX orders the gates z, r, n where PyTorch has r, z, n; with `linear_before_reset` its cell is PyTorch's.
"""

import numpy as np

from ..graph import Graph
from ..networks import GRU4Rec


def gru4rec(network: GRU4Rec, weights: dict, graph: Graph, rows: str, length: str) -> None:
    layers, width = network.shape.blocks, network.shape.width
    x = graph.node("Transpose", [rows], "steps", perm=[1, 0, 2])
    length = graph.node("Cast", [length], "length_32", to=6)
    zero, one = (graph.constant(name, np.array([value], np.int64)) for name, value in (("zero", 0), ("one", 1)))
    cell = {"hidden_size": width, "linear_before_reset": 1}
    for layer in range(layers - 1):
        states = graph.node("GRU", [x, *_layer(graph, weights, layer), length], f"gru.{layer}.states", **cell)
        x = graph.node("Squeeze", [states, one], f"gru.{layer}.out")
    final = [x, *_layer(graph, weights, layers - 1), length]
    graph.node("Squeeze", [graph.node("GRU", final, "final", skipped=1, **cell), zero], "state")


def _layer(graph: Graph, weights: dict, layer: int) -> list[str]:
    """The operator's W [1, 3h, d], R [1, 3h, h] and B [1, 6h] of one layer."""
    w, r, input_bias, recurrent_bias = (
        _gates(weights[f"gru.{name}_l{layer}"]) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    return [
        graph.constant(f"gru.{layer}.input", w[None]),
        graph.constant(f"gru.{layer}.recurrent", r[None]),
        graph.constant(f"gru.{layer}.bias", np.concatenate([input_bias, recurrent_bias])[None]),
    ]


def _gates(weight: np.ndarray) -> np.ndarray:
    """r, z, n → z, r, n."""
    r, z, n = np.split(weight, 3)
    return np.concatenate([z, r, n])
