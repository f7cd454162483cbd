"""Caser as an encoder graph: the window as it comes, zeros behind the items.

`length` changes nothing: what lies behind the items is zeros already, and the filters are meant to see it.
"""

import numpy as np

from ..graph import Graph
from ..networks import Caser


def caser(network: Caser, weights: dict, graph: Graph, rows: str, length: str) -> None:
    columns = graph.node("Transpose", [rows], "columns", perm=[0, 2, 1])
    time = graph.constant("time", np.array([2], np.int64))
    parts = []
    for index in range(len(network.horizontal)):
        name = f"horizontal.{index}"
        filters = [graph.constant(f"{name}.{part}", weights[f"{name}.{part}"]) for part in ("weight", "bias")]
        pooled = graph.node("ReduceMax", [graph.node("Conv", [columns, *filters], f"{name}.out"), time], f"{name}.pooled", keepdims=0)
        parts.append(pooled)
    vertical = graph.constant("vertical.weight", weights["vertical.weight"].T)
    product = graph.node("MatMul", [columns, vertical], "vertical.product")
    shifted = graph.node("Add", [product, graph.constant("vertical.bias", weights["vertical.bias"])], "vertical.out")
    parts.append(graph.node("Squeeze", [shifted, time], "vertical.column"))
    # relu rises with its argument, so it may follow the maximum.
    graph.node("Relu", [graph.node("Concat", parts, "filtered", axis=1)], "state")


def caser_read(weights: dict[str, np.ndarray]) -> tuple[int, dict[str, np.ndarray]]:
    """As `sasrec_read`; Caser has no blocks, which counts as one."""
    filters = {name: value for name, value in weights.items() if "." in name}
    return 1, filters | {"vertical.weight": weights["vertical.weight"].T}
