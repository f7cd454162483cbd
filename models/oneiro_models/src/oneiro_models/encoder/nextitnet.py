"""NextItNet as an encoder graph.

Causal convolutions never look to the right, so padding cannot reach the state and needs no mask. Only an empty history
must be known: its row of zeros stays zeros through every masked block, and so does its state.
"""

import numpy as np

from ..graph import Graph
from ..networks import NextItNet
from ..networks.nextitnet import EPSILON, KERNEL
from .layers import norm


def nextitnet(network: NextItNet, weights: dict, graph: Graph, rows: str, length: str) -> None:
    one = graph.constant("one", np.array([1], np.int64))
    last = graph.node("Unsqueeze", [graph.node("Sub", [length, one], "last"), one], "last_index")
    x = rows
    for index, block in enumerate(network.blocks):
        y = x
        for half, conv in ((1, block.conv_1), (2, block.conv_2)):
            y = _convolved(graph, weights, f"blocks.{index}", half, y, conv.dilation[0])
        x = graph.node("Add", [x, y], f"blocks.{index}.out")
    newest = graph.node("GatherND", [rows, last], "newest", batch_dims=1)
    present = graph.node("Sign", [graph.node("ReduceL1", [newest, one], "newest_size")], "present")
    graph.node("Mul", [graph.node("GatherND", [x, last], "newest_top", batch_dims=1), present], "state")


def _convolved(graph: Graph, weights: dict, block: str, half: int, x: str, dilation: int) -> str:
    """relu(LN(conv(x))), `x` [B, L', d]."""
    name = f"{block}.conv_{half}"
    filters = [graph.constant(f"{name}.{part}", weights[f"{name}.{part}"]) for part in ("weight", "bias")]
    columns = graph.node("Transpose", [x], f"{name}.columns", perm=[0, 2, 1])
    shape = {"kernel_shape": [KERNEL], "dilations": [dilation], "pads": [dilation * (KERNEL - 1), 0]}
    out = graph.node("Conv", [columns, *filters], f"{name}.out", **shape)
    out = graph.node("Transpose", [out], f"{name}.rows", perm=[0, 2, 1])
    return graph.node("Relu", [norm(graph, weights, f"{block}.norm_{half}", out, epsilon=EPSILON)], f"{name}.relu")


def nextitnet_read(weights: dict[str, np.ndarray]) -> tuple[int, dict[str, np.ndarray]]:
    """As `sasrec_read`."""
    state = {name: value for name, value in weights.items() if "." in name}
    return len({name.split(".")[1] for name in state}), state
