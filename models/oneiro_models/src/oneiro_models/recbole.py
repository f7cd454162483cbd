"""Checkpoints of RecBole (SASRec, GRU4Rec) as bundles.

A checkpoint is a pickle, which could run anything when it is loaded. Here nothing of it runs: tensors and plain values are
read, and every class but those of tensors becomes an inert `Anything`. RecBole itself is not needed.
"""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

from . import Problem
from .bundle import Catalog
from .export import Description, finish, write
from .networks import Network, RecBoleGRU4Rec, RecBoleSASRec, Shape

DTYPES = {"FloatStorage": np.float32, "DoubleStorage": np.float64, "LongStorage": np.int64, "HalfStorage": np.float16}

LAYER = {
    "multi_head_attention.query": "query",
    "multi_head_attention.key": "key",
    "multi_head_attention.value": "value",
    "multi_head_attention.dense": "dense",
    "multi_head_attention.LayerNorm": "norm_1",
    "feed_forward.dense_1": "inner",
    "feed_forward.dense_2": "outer",
    "feed_forward.LayerNorm": "norm_2",
}
"""RecBole's names inside a layer, and those here."""

PLAIN = {"item_embedding": "items", "position_embedding": "positions", "LayerNorm": "norm", "gru_layers": "gru", "dense": "dense"}


class Anything(dict):
    """Stands for every object that is not needed: it takes whatever it is given and does nothing."""

    def __init__(self, *arguments, **named):
        super().__init__()
        self.state = None

    def __setstate__(self, state):
        self.state = state

    def append(self, _):
        pass

    def extend(self, _):
        pass


class Reader(pickle.Unpickler):
    """Reads the pickle inside a PyTorch file, tensors as arrays."""

    def __init__(self, archive: zipfile.ZipFile, name: str):
        super().__init__(archive.open(name))
        self.archive, self.root = archive, name.rpartition("/")[0]

    def find_class(self, module: str, name: str):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        return Anything

    def persistent_load(self, key):
        _, dtype, number, _, _ = key
        return np.frombuffer(self.archive.read(f"{self.root}/data/{number}"), dtype)


def _tensor(storage: np.ndarray, offset: int, shape: tuple, stride: tuple, *_) -> np.ndarray:
    need = offset + sum((size - 1) * step for size, step in zip(shape, stride)) + 1
    if offset < 0 or min([0, *stride]) < 0 or (0 not in shape and need > len(storage)):
        raise pickle.UnpicklingError("a tensor reaches past its data")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps).copy()


def convert_recbole(path: Path, out: Path, tokens: Path | None = None) -> None:
    """The bundle of a checkpoint; `tokens`: a text file of item ids in RecBole's order, without its `[PAD]`."""
    network, kind = network_of(path)
    ids = [str(item + 1) for item in range(network.shape.items)]
    if tokens:
        ids = tokens.read_text(encoding="utf-8").splitlines()
    if len(ids) != network.shape.items:
        raise Problem(f"{tokens} names {len(ids)} items, {path} has {network.shape.items}")
    # RecBole says nothing of how often items were chosen: with equal counts a cold start gives the first items.
    catalog = Catalog(ids, counts=np.ones(len(ids), np.uint32))
    command = "python -m oneiro_models convert-recbole CHECKPOINT OUT" + (" --tokens TOKENS" if tokens else "")
    about = Description(out.resolve().name, f"{kind} trained with RecBole", {"command": command})
    finish(write(out, about, catalog, network, np.zeros(len(ids), bool)), about, network)


def read_checkpoint(path: Path) -> tuple[dict, dict]:
    """The settings and the weights of a checkpoint."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            content = Reader(archive, name).load()
        return content["config"].state["final_config_dict"], content["state_dict"]
    except FileNotFoundError:
        raise Problem(f"{path}: no such checkpoint") from None
    except (zipfile.BadZipFile, StopIteration, pickle.UnpicklingError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise Problem(f"{path} is not a RecBole checkpoint: {error}") from None


def network_of(path: Path) -> tuple[Network, str]:
    """The network of a checkpoint, and what RecBole calls it."""
    settings, weights = read_checkpoint(path)
    kind, window = settings["model"], settings["MAX_ITEM_LIST_LENGTH"]
    count, width = weights["item_embedding.weight"].shape
    if kind == "GRU4Rec":
        shape = Shape(count - 1, width, window, settings["num_layers"])
        network = RecBoleGRU4Rec(shape, settings["hidden_size"])
    elif kind == "SASRec":
        shape = Shape(count - 1, width, window, settings["n_layers"])
        network = RecBoleSASRec(
            shape, settings["inner_size"], settings["n_heads"], settings["hidden_act"], settings["layer_norm_eps"]
        )
    else:
        raise Problem(f"{path} holds RecBole's {kind}, expected SASRec or GRU4Rec")
    state = {_here(name): torch.tensor(value) for name, value in weights.items()}
    rows = state["items.weight"]
    state["items.weight"] = torch.cat([rows[1:], torch.zeros(1, width)])  # padding comes first there, last here
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise Problem(f"{path}: {error}") from None
    return network.eval(), kind


def _here(name: str) -> str:
    """RecBole's name of a tensor as it is here."""
    layer, part = name.rsplit(".", 1)
    if layer.startswith("trm_encoder.layer."):
        number, inner = layer.removeprefix("trm_encoder.layer.").split(".", 1)
        return f"layers.{number}.{LAYER.get(inner, inner)}.{part}"
    return f"{PLAIN.get(layer, layer)}.{part}"
