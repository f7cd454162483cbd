"""RecBole's SASRec as an encoder graph; its GRU4Rec goes the way of ours."""

from math import sqrt

import numpy as np

from ..graph import Graph
from ..networks.recbole import RecBoleSASRec
from .layers import dense, norm


def recbole_sasrec(network: RecBoleSASRec, weights: dict, graph: Graph, rows: str, length: str) -> None:
    window = network.shape.window
    zero, one = (graph.constant(name, np.array([value], np.int64)) for name, value in (("zero", 0), ("one", 1)))
    taken = graph.node("Shape", [rows], "taken", start=1, end=2)
    positions = graph.node("Slice", [graph.constant("positions.weight", weights["positions.weight"]), zero, taken, zero], "positions")
    mask = graph.constant("causal", np.triu(np.full((window, window), -np.inf, np.float32), 1))
    mask = graph.node("Slice", [graph.node("Slice", [mask, zero, taken, zero], "causal_rows"), zero, taken, one], "causal_square")
    summed = graph.node("Add", [rows, positions], "summed")
    x = norm(graph, weights, "norm", summed, epsilon=network.epsilon)
    for index in range(network.shape.blocks):
        x = _layer(graph, weights, network, f"layers.{index}", x, mask)
    last = graph.node("Unsqueeze", [graph.node("Sub", [length, one], "last"), one], "last_index")
    graph.node("GatherND", [x, last], "state", batch_dims=1)


def _layer(graph: Graph, weights: dict, network: RecBoleSASRec, name: str, x: str, mask: str) -> str:
    width, heads = network.shape.width, network.heads
    split = graph.constant("split", np.array([0, 0, heads, width // heads], np.int64))
    joined = graph.constant("joined", np.array([0, 0, width], np.int64))

    def parts(which: str, order: list[int]) -> str:
        flat = dense(graph, weights, f"{name}.{which}", x, flat=False)
        return graph.node("Transpose", [graph.node("Reshape", [flat, split], f"{name}.{which}.split")], f"{name}.{which}.heads", perm=order)

    logits = graph.node("MatMul", [parts("query", [0, 2, 1, 3]), parts("key", [0, 2, 3, 1])], f"{name}.logits")
    scale = graph.constant("scale", np.array(1 / sqrt(width // heads), np.float32))
    logits = graph.node("Add", [graph.node("Mul", [logits, scale], f"{name}.scaled"), mask], f"{name}.masked")
    attention = graph.node("Softmax", [logits], f"{name}.attention", axis=-1)
    context = graph.node("MatMul", [attention, parts("value", [0, 2, 1, 3])], f"{name}.context")
    context = graph.node("Transpose", [context], f"{name}.context_rows", perm=[0, 2, 1, 3])
    context = dense(graph, weights, f"{name}.dense", graph.node("Reshape", [context, joined], f"{name}.context_joined"), flat=False)
    y = norm(graph, weights, f"{name}.norm_1", graph.node("Add", [context, x], f"{name}.y"), epsilon=network.epsilon)
    inner = dense(graph, weights, f"{name}.inner", y, flat=False)
    inner = _activated(graph, network.activation, f"{name}.activated", inner)
    outer = dense(graph, weights, f"{name}.outer", inner, flat=False)
    return norm(graph, weights, f"{name}.norm_2", graph.node("Add", [outer, y], f"{name}.z"), epsilon=network.epsilon)


def _activated(graph: Graph, activation: str, name: str, x: str) -> str:
    if activation in ("relu", "tanh", "sigmoid"):
        return graph.node(activation.capitalize(), [x], name)
    if activation == "swish":
        return graph.node("Mul", [x, graph.node("Sigmoid", [x], f"{name}.gate")], name)
    # gelu: x · (1 + erf(x / √2)) / 2
    values = (("root", sqrt(0.5)), ("half", 0.5), ("unit", 1))
    root, half, unit = (graph.constant(f"gelu.{key}", np.array(value, np.float32)) for key, value in values)
    erf = graph.node("Erf", [graph.node("Mul", [x, root], f"{name}.scaled")], f"{name}.erf")
    gate = graph.node("Mul", [graph.node("Add", [erf, unit], f"{name}.shifted"), half], f"{name}.gate")
    return graph.node("Mul", [x, gate], name)
