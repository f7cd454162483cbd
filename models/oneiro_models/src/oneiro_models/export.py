"""Writes a trained SASRec as a bundle, and checks that the bundle answers as PyTorch does."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from . import Problem
from .bundle import Bundle, BundleWriter, Catalog
from .bundle.table import table
from .compare import compare
from .data import Dataset
from .encoder import encoder_graph
from .networks.sasrec import SASRec
from .options import HELD_OUT
from .train import Scorer, load_run

RETRIEVED = 200
"""How many items the recipe's first step brings."""


@dataclass
class Description:
    """What a bundle says of itself."""

    name: str
    description: str
    provenance: dict


def export(data: Dataset, run: Path, out: Path, name: str, description: str) -> None:
    """The bundle of a run's best network, with its validation figures beside those of the baselines."""
    cold = data.cold()
    network, options = load_run(run, data)
    methods = compare(data, {"SASRec": Scorer(network, cold)}, options.seen)
    metrics = {figure: round(found.mean, 4) for figure, found in methods.pop("SASRec").items()}
    for method, found in methods.items():
        metrics |= {f"{figure} {method}": round(found[figure].mean, 4) for figure in ("HR@10", "NDCG@10")}
    split = "" if data.held_out in (None, HELD_OUT) else f" --held-out {data.held_out}"
    train = f"python -m oneiro_models train DATA RUN{split}{options.command()}"
    provenance = {
        "licence": data.origin.licence,
        "credit": data.origin.credit,
        "data_set": data.origin.data_set,
        "command": f"{train} && python -m oneiro_models export DATA RUN OUT{split}",
        "metrics": metrics,
    }
    about = Description(name, description, {key: value for key, value in provenance.items() if value})
    finish_sasrec(write_sasrec(out, about, data.catalog, network, cold), about, network, options.seen)


def write_sasrec(folder: Path, about: Description, catalog: Catalog, network: SASRec, cold: np.ndarray) -> BundleWriter:
    """The bundle of one SASRec encoder; the caller may add spaces, then calls `finish_sasrec`."""
    bundle = BundleWriter(folder, about.name, about.description)
    bundle.catalog(catalog)
    rows = np.where(cold[:, None], np.float32(0), network.table.detach().cpu().numpy())
    empty = -network.positions.weight[0].detach().cpu().numpy()
    bundle.table("items", table(rows, cold=cold, empty=empty), items="dot", neighbours="cosine")
    bundle.graph("encoder", *encoder_graph(network, "encoder.weights"))
    contract = {"window": network.shape.window, "length": "dynamic", "empty_row": "stored"}
    bundle.encoder("sasrec", graph="encoder", input="items", output="items", **contract)
    return bundle


def finish_sasrec(bundle: BundleWriter, about: Description, network: SASRec, seen: str = "exclude") -> None:
    """Writes everything, once ONNX Runtime answers as PyTorch does."""
    first = {"retrieve": "encoder", "encoder": "sasrec", "count": min(RETRIEVED, bundle.items)}
    recipe = {"steps": [first], "cold": "popularity"}
    rest = {"similar": "neighbours", "seen": seen, "recipe": recipe, "provenance": about.provenance}
    bundle.finish(lambda written: check(written, network), **rest)


def check(bundle: Bundle, network: SASRec, tolerance: float = 1e-5) -> float:
    """The largest difference of a state, relative to the largest value of that state, over histories of every length."""
    generator = np.random.default_rng(0)
    warm = np.flatnonzero(bundle.space("items")["cold"] == 0)
    encode = Encoder(bundle, "sasrec")
    worst = 0.0
    for length in range(network.shape.window + 1):
        history = generator.choice(warm, length).astype(np.int64)
        expected = torch_states(network, [history])[0]
        worst = max(worst, float(np.abs(encode(history) - expected).max() / np.abs(expected).max()))
    if worst > tolerance:
        name = bundle.manifest["name"]
        raise Problem(f"bundle `{name}`: the exported encoder differs from PyTorch by {worst:.2g} (allowed {tolerance:.0g})")
    return worst


class Encoder:
    """A bundle's encoder in ONNX Runtime, called as the oneiro library calls it."""

    def __init__(self, bundle: Bundle, name: str):
        contract = bundle.manifest["encoders"][name]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        model = bundle.path(bundle.manifest["graphs"][contract["graph"]]["model"])
        self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        space = bundle.space(contract["input"])
        self.window, self.rows = contract["window"], space["rows"]
        self.cold = space.get("cold", np.zeros(len(self.rows), np.uint8))
        self.empty = space.get("empty", np.zeros(self.rows.shape[1], np.float32))

    def __call__(self, history: np.ndarray) -> np.ndarray:
        """The state of one history of item numbers, oldest first."""
        taken = history[self.cold[history] == 0][-self.window :]
        rows = self.rows[taken] if len(taken) else self.empty[None]
        return self.session.run(None, {"rows": rows[None], "length": np.array([len(rows)], np.int64)})[0][0]


def torch_states(network: SASRec, histories: list[np.ndarray]) -> np.ndarray:
    """The states of histories of warm items in PyTorch, in evaluation mode; `[B, d]`."""
    shape = network.shape
    padded = torch.full((len(histories), shape.window), shape.items)
    lengths = torch.tensor([min(len(history), shape.window) for history in histories])
    for row, (history, length) in enumerate(zip(histories, lengths.tolist())):
        padded[row, :length] = torch.as_tensor(np.asarray(history)[len(history) - length :])
    device = network.items.weight.device
    network.eval()
    with torch.inference_mode():
        return network(padded.to(device), lengths.to(device)).cpu().numpy()
