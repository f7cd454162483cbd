"""Networks that others trained, as bundles: the weights that LLaRA's authors published, and those of DreamRec's code.

A folder of LLaRA's holds the weights as safetensors and a `models.json` that says of each file its architecture, its number
of items and its window. Their SASRec, GRU and Caser are the networks here under other names, each scored by a head with a
bias. DreamRec's code saves nothing itself: a checkpoint is the state dict of its `Tenc`, which does not say the schedule, the
number of steps or the guidance.
"""

import json
import pickle
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_tensors

from . import Problem
from .data import Dataset
from .diffusion import Schedule
from .export import Description, finish, write
from .networks import NETWORKS, DreamRec, Network, Shape

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

DREAMS = {
    "none_embedding.weight": "unconditional",
    **{f"step_mlp.{layer}.{part}": f"denoiser.tau.mlp.{layer - 1}.{part}" for layer in (1, 3) for part in ("weight", "bias")},
    **{f"diffuser.{layer}.{part}": f"denoiser.layers.{layer}.{part}" for layer in (0, 2) for part in ("weight", "bias")},
}
"""The names of DreamRec's own tensors; those of its encoder are LLaRA's."""
UNUSED = ("s_fc", "emb_mlp", "diff_mlp", "step_mlp.0")
"""Layers that DreamRec's code makes and never uses."""


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


def convert_dreamrec(checkpoint: Path, data: Dataset, out: Path, schedule: Schedule, guidance: float, trained: str) -> None:
    """The bundle of a checkpoint of DreamRec's code; `trained`: the options of the command that say how it was trained."""
    network = dreamrec_of(checkpoint, schedule)
    if network.shape.items != data.items:
        raise Problem(f"{checkpoint} has {network.shape.items} items, the data have {data.items}")
    network.guidance = guidance
    provenance = {
        "licence": data.origin.licence,
        "credit": f"weights: trained with DreamRec's code; items: {data.origin.credit}",
        "data_set": data.origin.data_set,
        "command": f"python -m oneiro_models convert-dreamrec {checkpoint.name} DATA/{data.name} OUT {trained}",
    }
    about = Description(out.resolve().name, "DreamRec as its authors' code trained it", provenance)
    finish(write(out, about, data.catalog, network, data.cold()), about, network, seen=data.seen)


def dreamrec_of(checkpoint: Path, schedule: Schedule) -> DreamRec:
    """The network with the weights of a checkpoint: a PyTorch file or safetensors."""
    try:
        if checkpoint.suffix == ".safetensors":
            found = load_tensors(checkpoint)
        else:
            found = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise Problem(f"{checkpoint}: no such checkpoint") from None
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, LookupError) as error:
        raise Problem(f"{checkpoint} is not a checkpoint of tensors: {str(error).splitlines()[0]}") from None
    needed = ("item_embeddings.weight", "positional_embeddings.weight", "diffuser.0.weight")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), torch.Tensor) for name in needed):
        raise Problem(f"{checkpoint} is no state dict of DreamRec's Tenc with a diffuser of mlp1 or mlp2")
    (rows, width), window = found["item_embeddings.weight"].shape, len(found["positional_embeddings.weight"])
    kind = "mlp2" if "diffuser.2.weight" in found else "mlp1"
    network = DreamRec(Shape(rows - 1, width, window), schedule, kind).eval()
    state = {}
    for name, tensor in found.items():
        layer, _, part = name.rpartition(".")
        if layer.startswith(UNUSED):
            continue
        here = DREAMS.get(name) or (f"{NAMES[layer]}.{part}" if layer in NAMES else None)
        if here is None:
            raise Problem(f"{checkpoint}: tensor `{name}` belongs to no layer of DreamRec")
        state[here] = tensor.squeeze(-1) if layer.startswith("feed_forward.w_") and tensor.ndim == 3 else tensor  # 1 × 1 convolutions
    if "unconditional" in state:
        state["unconditional"] = state["unconditional"].reshape(-1)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise Problem(f"{checkpoint}: {' '.join(str(error).split())}") from None
    return network
