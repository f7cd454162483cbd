"""Q-networks in a bundle: their graph, and that they value items as PyTorch does (models/README.md, "Q-networks")."""

import numpy as np
import torch
from torch import Tensor, nn

from . import Problem
from .bundle import Bundle
from .bundle.table import values
from .encoder import bundled_network
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


class BundledValues(nn.Module):
    """A bundle's Q-network in PyTorch, with the weights and tables that the bundle holds. It answers by Q."""

    draws = None

    def __init__(self, bundle: Bundle, name: str):
        super().__init__()
        contract = bundle.manifest["q_networks"][name]
        self.below = bundled_network(bundle, contract["encoder"])
        self.shape, self.items = self.below.shape, self.below.items
        self.value, self.rows, self.bias = nn.Identity(), None, 0.0
        if "graph" in contract:
            kind, weights = bundle.graph(contract["graph"])
            if kind != "value":
                raise Problem(f"{bundle.folder}: a graph `{kind}` is not read back, only `value`")
            weight, bias = (torch.tensor(weights[f"value.{part}"]) for part in ("weight", "bias"))
            self.value = nn.Linear(*weight.shape)
            self.value.load_state_dict({"weight": weight.T, "bias": bias})
        if "output" in contract:
            space = bundle.space(contract["output"])
            self.rows = torch.tensor(values(space))
            self.bias = torch.tensor(space["bias"]) if "bias" in space else 0.0

    def answers(self, histories: Tensor, lengths: Tensor, seeds=None, unranked: Tensor | None = None) -> Tensor:
        """Q of every item, [B, N]."""
        found = self.value(self.below(histories, lengths))
        return found if self.rows is None else found @ self.rows.T + self.bias
