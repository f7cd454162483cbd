"""Networks as encoder graphs (models/README.md, "Encoder")."""

import numpy as np

from ..bundle import Bundle
from ..graph import Graph
from ..networks import Network, SASRec, name_of
from .caser import caser
from .gru4rec import gru4rec
from .nextitnet import nextitnet
from .recbole import recbole_sasrec
from .sasrec import network_from, sasrec

GRAPHS = {"sasrec": sasrec, "gru4rec": gru4rec, "caser": caser, "nextitnet": nextitnet}
GRAPHS |= {"recbole-sasrec": recbole_sasrec, "recbole-gru4rec": gru4rec}

__all__ = ["bundled_network", "encoder_graph", "network_from"]


def encoder_graph(network: Network, weights_file: str) -> tuple[bytes, bytes]:
    """The ONNX model of `rows` [B, L', d], `length` [B] → `state` [B, e], and its external data."""
    shape, name = network.shape, name_of(network)
    weights = {key: tensor.detach().cpu().numpy() for key, tensor in network.state_dict().items()}
    graph = Graph(name, weights_file)
    rows = graph.input("rows", np.float32, ["B", shape.window if network.fixed else "L", shape.width])
    length = graph.input("length", np.int64, ["B"])
    GRAPHS[name](network, weights, graph, rows, length)
    graph.output("state", np.float32, ["B", network.scored.shape[1]])
    return graph.save()


def bundled_network(bundle: Bundle, name: str = "sasrec") -> SASRec:
    """The PyTorch network of a bundle's SASRec, with the weights that the bundle holds."""
    contract = bundle.manifest["encoders"][name]
    return network_from(bundle.weights(contract["graph"]), bundle.space(contract["input"])["rows"])
