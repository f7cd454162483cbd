"""Layers that more than one encoder graph is made of."""

from ..graph import Graph


def dense(graph: Graph, weights: dict, name: str, x: str, flat: bool, output: str | None = None) -> str:
    """`x·Wᵀ + b`, W stored [in, out]: one Gemm on [B, d], two nodes on [B, L, d]."""
    weight = graph.constant(f"{name}.weight", weights[f"{name}.weight"].T)
    bias = graph.constant(f"{name}.bias", weights[f"{name}.bias"])
    if flat:
        return graph.node("Gemm", [x, weight, bias], output or f"{name}.out")
    return graph.node("Add", [graph.node("MatMul", [x, weight], f"{name}.product"), bias], output or f"{name}.out")


def norm(graph: Graph, weights: dict, name: str, x: str, output: str | None = None, epsilon: float = 1e-5) -> str:
    scale = graph.constant(f"{name}.weight", weights[f"{name}.weight"])
    bias = graph.constant(f"{name}.bias", weights[f"{name}.bias"])
    return graph.node("LayerNormalization", [x, scale, bias], output or f"{name}.out", axis=-1, epsilon=epsilon)
