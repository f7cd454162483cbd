"""Q-networks in a bundle: their graph, and that they value items as PyTorch does (models/README.md, "Q-networks")."""

import numpy as np
import torch
from torch import nn

from . import Problem
from .bundle import Bundle
from .encoder.layers import dense
from .graph import Graph
from .inference import QNetwork
from .networks import MCRL


def value_graph(layer: nn.Linear, weights_file: str, output: str = "query") -> tuple[bytes, bytes]:
    """The ONNX model of `state` [B, e] → `query` [B, q], or of another network's `q_values` [B, N], and its external data."""
    graph = Graph("value", weights_file)
    weights = {f"value.{name}": tensor.detach().cpu().numpy() for name, tensor in layer.state_dict().items()}
    state = graph.input("state", np.float32, ["B", layer.in_features])
    dense(graph, weights, "value", state, flat=True, output=output)
    graph.output(output, np.float32, ["B", layer.out_features])
    return graph.save()


def check_values(bundle: Bundle, name: str, network: MCRL, histories: list[np.ndarray], tolerance: float = 1e-5) -> None:
    """Refuses a bundle whose Q is not that of the network, after histories of warm items."""
    q = QNetwork(bundle, name)
    warm = q.encode.cold == 0
    window = network.shape.window
    padded = torch.full((len(histories), window), network.shape.items)
    for row, history in zip(padded, histories):
        row[: min(len(history), window)] = torch.as_tensor(history[-window:])
    lengths = torch.tensor([min(len(history), window) for history in histories])
    with torch.inference_mode():
        expected = network.values(network(padded, lengths)).numpy()[:, warm]
    apart = float(np.abs(q(histories)[:, warm] - expected).max()) / max(float(np.abs(expected).max()), 1e-30)
    if not apart <= tolerance:  # NaN too
        raise Problem(f"Q-network `{name}` differs from PyTorch by {apart:.2g} (allowed {tolerance:.0g})")
