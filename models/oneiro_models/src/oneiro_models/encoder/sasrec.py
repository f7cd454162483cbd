"""SASRec as an encoder graph (models/README.md, "Encoder"), written for one history at a time.

The last block is asked for one position only, and its keys and values are never formed. With A the attention of
that position, softmax ignores what is the same for every key, and the weights of A sum to 1, so that

    q·(Wk s + bk) = (q Wk)·s + const        A·(s Wv + bv) = (A·s) Wv + bv

Both hold exactly; L matrix products become two. `bk` cannot change the result and is not stored.
Earlier blocks use the same form at every position.
"""

from math import sqrt

import numpy as np

from ..graph import Graph
from ..networks import SASRec
from .layers import dense, norm


def sasrec(network: SASRec, weights: dict, graph: Graph, rows: str, length: str) -> None:
    shape = network.shape

    # The first L' positions, and the causal mask: 0 where a position may look, −∞ where not.
    zero, one = (graph.constant(name, np.array([value], np.int64)) for name, value in (("zero", 0), ("one", 1)))
    taken = graph.node("Shape", [rows], "taken", start=1, end=2)
    positions = graph.constant("positions.weight", weights["positions.weight"])
    mask = graph.constant("causal", np.triu(np.full((shape.window, shape.window), -np.inf, np.float32), 1))
    positions = graph.node("Slice", [positions, zero, taken, zero], "positions")
    s = graph.node("Add", [rows, positions], "s_0")
    last = graph.node("Sub", [length, one], "last")
    last_index = graph.node("Unsqueeze", [last, one], "last_index")

    # An empty history is the row −Pos[0]: it alone adds up to zeros, and its state is LN3's bias.
    newest = graph.node("GatherND", [s, last_index], "newest", batch_dims=1)
    present = graph.node("Sign", [graph.node("ReduceL1", [newest, one], "newest_size")], "present")

    if shape.blocks > 1:
        causal = graph.node("Slice", [mask, zero, taken, zero], "causal_rows")
        causal = graph.node("Slice", [causal, zero, taken, one], "causal_square")
        for index in range(shape.blocks - 1):
            s = _block(graph, weights, index, s, s, causal, flat=False)
        newest = graph.node("GatherND", [s, last_index], "newest_top", batch_dims=1)
    seen = graph.node("Gather", [mask, last], "seen_row", axis=0)
    seen = graph.node("Unsqueeze", [graph.node("Slice", [seen, zero, taken, one], "seen"), one], "seen_3d")
    u = _block(graph, weights, shape.blocks - 1, newest, s, seen, flat=True)
    u = graph.node("Mul", [u, present], "u_present")
    norm(graph, weights, "norm_3", u, "state")


def _block(graph: Graph, weights: dict, index: int, queries: str, s: str, mask: str, flat: bool) -> str:
    """One block for `queries` [B, d] (`flat`) or [B, L, d], attending to `s` [B, L, d]."""
    name = f"blocks.{index}"
    width = weights["norm_3.weight"].shape[0]
    n = norm(graph, weights, f"{name}.norm_1", queries)
    q = dense(graph, weights, f"{name}.query", n, flat)
    key = graph.constant(f"{name}.key.weight", weights[f"{name}.key.weight"] / np.float32(sqrt(width)))
    q = graph.node("MatMul", [q, key], f"{name}.query_key")
    if flat:
        q = graph.node("Unsqueeze", [q, "one"], f"{name}.query_3d")
    keys = graph.node("Transpose", [s], f"{name}.keys", perm=[0, 2, 1])
    logits = graph.node("MatMul", [q, keys], f"{name}.logits")
    logits = graph.node("Add", [logits, mask], f"{name}.logits_masked")
    attention = graph.node("Softmax", [logits], f"{name}.attention", axis=-1)
    context = graph.node("MatMul", [attention, s], f"{name}.context")
    if flat:
        context = graph.node("Squeeze", [context, "one"], f"{name}.context_2d")
    y = graph.node("Add", [dense(graph, weights, f"{name}.value", context, flat), n], f"{name}.y")
    z = norm(graph, weights, f"{name}.norm_2", y)
    inner = graph.node("Relu", [dense(graph, weights, f"{name}.inner", z, flat)], f"{name}.relu")
    outer = dense(graph, weights, f"{name}.outer", inner, flat)
    return norm(graph, weights, f"{name}.norm_ff", graph.node("Add", [outer, z], f"{name}.ff"))


def sasrec_read(weights: dict[str, np.ndarray]) -> tuple[int, dict[str, np.ndarray]]:
    """How many blocks a graph with these initialisers has, and the weights of its network."""
    width = weights["positions.weight"].shape[1]
    blocks = len({name.split(".")[1] for name in weights if name.startswith("blocks.")})
    state = {f"blocks.{index}.key.bias": np.zeros(width, np.float32) for index in range(blocks)}
    for name, value in weights.items():
        if name.endswith("key.weight"):
            value = value * np.float32(sqrt(width))
        elif value.ndim == 2 and name.startswith("blocks."):
            value = value.T
        if "." in name:  # the others are operands of the graph
            state[name] = value
    return blocks, state
