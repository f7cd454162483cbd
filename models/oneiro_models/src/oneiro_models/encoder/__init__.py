"""Networks as encoder graphs (models/README.md, "Encoder")."""

import numpy as np
import torch

from .. import Problem
from ..bundle import Bundle
from ..bundle.table import values
from ..graph import Graph
from ..networks import ENCODERS, Network, Shape, encoder_of
from .caser import caser, caser_read
from .gru4rec import gru4rec, gru4rec_read
from .nextitnet import nextitnet, nextitnet_read
from .recbole import recbole_sasrec
from .sasrec import sasrec, sasrec_read

GRAPHS = {"sasrec": sasrec, "gru4rec": gru4rec, "caser": caser, "nextitnet": nextitnet}
GRAPHS |= {"recbole-sasrec": recbole_sasrec, "recbole-gru4rec": gru4rec}

READERS = {"sasrec": sasrec_read, "gru4rec": gru4rec_read, "caser": caser_read, "nextitnet": nextitnet_read}
"""Graphs whose networks can be read back."""

__all__ = ["bundled_network", "encoder_graph"]


def encoder_graph(network: Network, weights_file: str) -> tuple[bytes, bytes]:
    """The ONNX model of `rows` [B, L', d], `length` [B] → `state` [B, e], and its external data."""
    shape, name = network.shape, encoder_of(network)
    weights = {key: tensor.detach().cpu().numpy() for key, tensor in network.state_dict().items()}
    graph = Graph(name, weights_file)
    rows = graph.input("rows", np.float32, ["B", shape.window if network.fixed else "L", shape.width])
    length = graph.input("length", np.int64, ["B"])
    GRAPHS[name](network, weights, graph, rows, length)
    graph.output("state", np.float32, ["B", network.scored.shape[1]])
    return graph.save()


def bundled_network(bundle: Bundle, name: str | None = None) -> Network:
    """The PyTorch network of a bundle's encoder (the first if none is named), with the weights that the bundle holds; of
    DreamRec and MCRL that which gives their states.
    """
    contract = bundle.manifest["encoders"][name or next(iter(bundle.manifest["encoders"]))]
    kind, weights = bundle.graph(contract["graph"])
    if kind not in READERS:
        raise Problem(f"{bundle.folder}: a graph `{kind}` is not read back, only {', '.join(READERS)}")
    blocks, state = READERS[kind](weights)
    read, scored = (bundle.space(contract[space]) for space in ("input", "output"))
    rows, separate = values(read), contract["input"] != contract["output"]
    # GRU4Rec reads its row of padding; in the others it is masked, or zeros.
    padding = read["empty"] if kind == "gru4rec" else np.zeros(rows.shape[1], np.float32)
    state["items.weight"] = np.concatenate([rows, padding[None]])
    if separate:
        state |= {"head.weight": values(scored), "head.bias": scored["bias"]}
    network = ENCODERS[kind](Shape(*rows.shape, contract["window"], blocks, separate)).eval()
    network.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    return network
