"""Networks that others trained, as bundles: the weights that LLaRA's authors published.

A folder holds the weights as safetensors and a `models.json` that says of each file its architecture, its number of items
and its window. Their SASRec, GRU and Caser are the networks here under other names, each scored by a head with a bias.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

from . import Problem
from .data import Dataset
from .export import Description, finish, write
from .networks import NETWORKS, Network, Shape

KINDS = {"sasrec": "sasrec", "gru": "gru4rec", "caser": "caser"}

NAMES = {
    "item_embeddings": "items",
    "positional_embeddings": "positions",
    "ln_1": "blocks.0.norm_1",
    "mh_attn.linear_q": "blocks.0.query",
    "mh_attn.linear_k": "blocks.0.key",
    "mh_attn.linear_v": "blocks.0.value",
    "ln_2": "blocks.0.norm_2",
    "feed_forward.w_1": "blocks.0.inner",
    "feed_forward.w_2": "blocks.0.outer",
    "feed_forward.layer_norm": "blocks.0.norm_ff",
    "ln_3": "norm_3",
    "s_fc": "head",
    "gru": "gru",
    "horizontal_cnn.0": "horizontal.0",
    "horizontal_cnn.1": "horizontal.1",
    "horizontal_cnn.2": "horizontal.2",
    "vertical_cnn": "vertical",
}
"""The authors' names of layers, and those here."""


def convert(weights: Path, data: Dataset, out: Path) -> None:
    """The bundle of a weights file; `data` says who the items are."""
    entry = described(weights)
    if entry["items"] != data.items:
        raise Problem(f"{weights} scores {entry['items']} items, the data have {data.items}")
    network = network_of(weights, entry)
    provenance = {
        "licence": f"weights: Apache-2.0; items: {data.origin.licence}",
        "credit": f"weights: LLaRA, {entry['source']['repo']}; items: {data.origin.credit}",
        "data_set": data.origin.data_set,
        "command": f"python -m oneiro_models convert {weights.name} DATA/{data.name} OUT",
    }
    about = Description(weights.stem.replace("_", "-"), f"{type(network).__name__} as LLaRA's authors trained it", provenance)
    none_cold = np.zeros(data.items, bool)
    finish(write(out, about, data.catalog, network, none_cold), about, network, seen="allow")


def described(weights: Path) -> dict:
    """What `models.json` says of a weights file."""
    try:
        entries = json.loads((weights.parent / "models.json").read_text(encoding="utf-8")).values()
    except FileNotFoundError:
        raise Problem(f"{weights.parent} has no models.json that describes {weights.name}") from None
    for entry in entries:
        if entry["file"] == weights.name:
            if entry["architecture"] not in KINDS:
                raise Problem(f"{weights}: `{entry['architecture']}` is none of {', '.join(KINDS)}")
            return entry
    raise Problem(f"{weights.parent / 'models.json'} does not describe {weights.name}")


def network_of(weights: Path, entry: dict) -> Network:
    """The network with the weights of a file."""
    shape = Shape(entry["items"], entry["hidden"], entry["max_len"], blocks=1, separate=True)
    network = NETWORKS[KINDS[entry["architecture"]]](shape).eval()
    state, theirs = network.state_dict(), {}
    for name, tensor in load_file(weights).items():
        layer, part = name.rsplit(".", 1)
        if layer not in NAMES:
            raise Problem(f"{weights}: tensor `{name}` belongs to no layer of {type(network).__name__}")
        theirs[f"{NAMES[layer]}.{part}"] = tensor
    if theirs.keys() != state.keys():
        raise Problem(f"{weights}: tensors {sorted(theirs.keys() ^ state.keys())} are missing or too many")
    for name, tensor in theirs.items():
        if name.startswith("horizontal") and name.endswith("weight"):
            tensor = tensor.squeeze(1).swapaxes(1, 2)  # [filters, 1, height, d] → [filters, d, height]
        if tensor.size != state[name].numel():
            raise Problem(f"{weights}: `{name}` has shape {list(tensor.shape)}, expected {list(state[name].shape)}")
        theirs[name] = torch.tensor(np.ascontiguousarray(tensor)).reshape(state[name].shape)
    network.load_state_dict(theirs)
    return network
