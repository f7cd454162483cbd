"""GRU4Rec as an encoder graph: ONNX's own recurrent operator, stopped at each history's length.

ONNX orders the gates z, r, n where PyTorch has r, z, n; with `linear_before_reset` its cell is PyTorch's.
"""

import numpy as np

from ..graph import Graph
from ..networks import Network
from .layers import dense


def gru4rec(network: Network, weights: dict, graph: Graph, rows: str, length: str) -> None:
    """Also RecBole's, which has no biases and a dense layer behind the last step."""
    layers = network.gru.num_layers
    x = graph.node("Transpose", [rows], "steps", perm=[1, 0, 2])
    length = graph.node("Cast", [length], "length_32", to=6)
    zero = graph.constant("zero", np.array([0], np.int64))
    cell = {"hidden_size": network.gru.hidden_size, "linear_before_reset": 1}
    for layer in range(layers - 1):
        states = graph.node("GRU", [x, *_layer(graph, weights, layer), length], f"gru.{layer}.states", **cell)
        x = graph.node("Squeeze", [states, graph.constant("one", np.array([1], np.int64))], f"gru.{layer}.out")
    final = graph.node("GRU", [x, *_layer(graph, weights, layers - 1), length], "final", skipped=1, **cell)
    if "dense.weight" not in weights:
        graph.node("Squeeze", [final, zero], "state")
    else:
        dense(graph, weights, "dense", graph.node("Squeeze", [final, zero], "final_2d"), flat=True, output="state")


def _layer(graph: Graph, weights: dict, layer: int) -> list[str]:
    """The operator's W [1, 3h, d], R [1, 3h, h] and, if there are biases, B [1, 6h]."""
    w, r = (_gates(weights[f"gru.{name}_l{layer}"]) for name in ("weight_ih", "weight_hh"))
    found = [graph.constant(f"gru.{layer}.input", w[None]), graph.constant(f"gru.{layer}.recurrent", r[None])]
    if f"gru.bias_ih_l{layer}" not in weights:
        return [*found, ""]
    both = [_gates(weights[f"gru.{name}_l{layer}"]) for name in ("bias_ih", "bias_hh")]
    return [*found, graph.constant(f"gru.{layer}.bias", np.concatenate(both)[None])]


def gru4rec_read(weights: dict[str, np.ndarray]) -> tuple[int, dict[str, np.ndarray]]:
    """As `sasrec_read`, for layers."""
    layers = len({name.split(".")[1] for name in weights if name.startswith("gru.")})
    state = {}
    for layer in range(layers):
        bias_ih, bias_hh = np.split(weights[f"gru.{layer}.bias"][0], 2)
        parts = {"weight_ih": weights[f"gru.{layer}.input"][0], "weight_hh": weights[f"gru.{layer}.recurrent"][0]}
        parts |= {"bias_ih": bias_ih, "bias_hh": bias_hh}
        state |= {f"gru.{name}_l{layer}": _gates(value) for name, value in parts.items()}
    return layers, state


def _gates(weight: np.ndarray) -> np.ndarray:
    """r, z, n → z, r, n; and back."""
    r, z, n = np.split(weight, 3)
    return np.concatenate([z, r, n])
