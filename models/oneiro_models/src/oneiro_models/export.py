"""Writes a trained network as a bundle, and checks that the bundle answers as PyTorch does."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from . import Problem
from .bundle import Bundle, BundleWriter, Catalog
from .bundle.table import table
from .compare import compare
from .data import Dataset
from .encoder import encoder_graph
from .inference import Encoder
from .networks import Network, name_of
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
    kind = type(network).__name__
    methods = compare(data, {kind: Scorer(network, cold)}, options.seen)
    metrics = {figure: round(found.mean, 4) for figure, found in methods.pop(kind).items()}
    for method, found in methods.items():
        metrics |= {f"{figure} {method}": round(found[figure].mean, 4) for figure in ("HR@10", "NDCG@10")}
    train = f"python -m oneiro_models train DATA RUN{data.split()}{options.command()}"
    provenance = {
        "licence": data.origin.licence,
        "credit": data.origin.credit,
        "data_set": data.origin.data_set,
        "command": f"{train} && python -m oneiro_models export DATA RUN OUT{data.split()}",
        "metrics": metrics,
    }
    about = Description(name, description, {key: value for key, value in provenance.items() if value})
    finish(write(out, about, data.catalog, network, cold), about, network, seen=options.seen)


def write(folder: Path, about: Description, catalog: Catalog, network: Network, cold: np.ndarray) -> BundleWriter:
    """The bundle of one encoder; the caller may add spaces and encoders, then calls `finish`."""
    bundle = BundleWriter(folder, about.name, about.description)
    bundle.catalog(catalog)
    add(bundle, network, cold, neighbours="cosine")
    return bundle


def add(bundle: BundleWriter, network: Network, cold: np.ndarray, prefix: str = "", **spaces: str) -> None:
    """An encoder with its graph and tables, whose names begin with `prefix`; `spaces`: more metrics over the rows it reads."""
    items, scores, graph = (prefix + name for name in ("items", "scores", "encoder"))
    rows, scored, bias, empty = (_numpy(value) for value in (network.table, network.scored, network.bias, network.empty))
    read = table(np.where(cold[:, None], np.float32(0), rows), cold=cold, empty=empty)
    bundle.table(items, read, **{items: "dot"} | spaces)
    output = items
    if network.head is not None:
        output = scores
        heads = table(np.where(cold[:, None], np.float32(0), scored), bias=bias, cold=cold)
        bundle.table(scores, heads, **{scores: "dot"})
    bundle.graph(graph, *encoder_graph(network, f"{graph}.weights"))
    contract = {
        "window": network.shape.window,
        "length": "fixed" if network.fixed else "dynamic",
        "empty_row": "zero" if empty is None else "stored",
    }
    bundle.encoder(name_of(network), graph=graph, input=items, output=output, **contract)


def _numpy(value: torch.Tensor | None) -> np.ndarray | None:
    return None if value is None else value.detach().cpu().numpy()


def finish(bundle: BundleWriter, about: Description, network: Network, *others: Network, seen: str = "exclude") -> None:
    """Writes everything, once ONNX Runtime answers as PyTorch does; the recipe goes by the first network."""
    first = {"retrieve": "encoder", "encoder": name_of(network), "count": min(RETRIEVED, bundle.items)}
    recipe = {"steps": [first], "cold": "popularity"}
    rest = {"similar": "neighbours", "seen": seen, "recipe": recipe, "provenance": about.provenance}
    bundle.finish(lambda written: [check(written, one) for one in (network, *others)], **rest)


def check(bundle: Bundle, network: Network, tolerance: float = 1e-5) -> float:
    """The largest difference of a state, relative to the largest value of that state, over histories of every length."""
    generator = np.random.default_rng(0)
    encode = Encoder(bundle, name_of(network))
    warm = np.flatnonzero(encode.cold == 0)
    worst = 0.0
    for length in range(network.shape.window + 1):
        history = generator.choice(warm, length).astype(np.int64)
        expected = torch_states(network, [history])[0]
        size = max(float(np.abs(expected).max()), 1e-30)
        worst = max(worst, float(np.abs(encode(history) - expected).max()) / size)
    if worst > tolerance:
        name = bundle.manifest["name"]
        raise Problem(f"bundle `{name}`: the exported encoder differs from PyTorch by {worst:.2g} (allowed {tolerance:.0g})")
    return worst


def torch_states(network: Network, histories: list[np.ndarray]) -> np.ndarray:
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
