"""Writes a trained network as a bundle, and checks that the bundle answers as PyTorch does."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from . import Problem
from .bundle import Bundle, BundleWriter, Catalog
from .bundle.table import table
from .compare import compare, ranking
from .data import Dataset
from .encoder import encoder_graph
from .inference import Encoder
from .networks import MCRL, DreamRec, Network, name_of
from .oracle import check_oracle, denoiser_graph, oracle_part
from .reinforcement import CANDIDATES
from .train import Scorer, load_run, never_ranked
from .value import check_values, value_graph

@dataclass
class Description:
    """What a bundle says of itself."""

    name: str
    description: str
    provenance: dict


def export(
    data: Dataset,
    run: Path,
    out: Path,
    name: str,
    description: str,
    dtype: str = "f32",
    exact: bool = False,
    by: str | None = None,
    blend: float | None = None,
) -> None:
    """The bundle of a run's best network, with its validation figures beside those of the baselines.

    The recipe of MCRL's ranks `by` its logits, by Q, or by a blend of the two.
    """
    network, options = load_run(run, data, by, blend)
    cold = never_ranked(data, options)
    kind = type(network).__name__
    methods = compare(data, {kind: Scorer(network, cold, options.seen)}, options.seen)
    metrics = {figure: round(found.mean, 4) for figure, found in methods.pop(kind).items()}
    for method, found in methods.items():
        metrics |= {f"{figure} {method}": round(found[figure].mean, 4) for figure in ("HR@10", "NDCG@10")}
    train = f"python -m oneiro_models train DATA RUN{data.split()}{options.command()}"
    stored = (f" --dtype {dtype}" if dtype != "f32" else "") + (" --exact" if exact else "")
    stored += ranking(by, blend)
    provenance = {
        "licence": data.origin.licence,
        "credit": data.origin.credit,
        "data_set": data.origin.data_set,
        "command": f"{train} && python -m oneiro_models export DATA RUN OUT{data.split()}{stored}",
        "metrics": metrics,
    }
    about = Description(name, description, {key: value for key, value in provenance.items() if value})
    finish(write(out, about, data.catalog, network, cold, dtype, exact), about, network, seen=options.seen)


def write(
    folder: Path,
    about: Description,
    catalog: Catalog,
    network: Network,
    cold: np.ndarray,
    dtype: str = "f32",
    exact: bool = False,
) -> BundleWriter:
    """The bundle of one encoder; the caller may add spaces and encoders, then calls `finish`.

    The encoder reads f32 rows. Those that are scored are stored as `dtype`; `exact` keeps the f32 ones beside i8, and the
    ranking is theirs.
    """
    if exact and dtype != "i8":
        raise Problem(f"rows of {dtype} are exact themselves: `--exact` goes with `--dtype i8`")
    bundle = BundleWriter(folder, about.name, about.description)
    bundle.catalog(catalog)
    add(bundle, network, cold, dtype=dtype, exact=exact, neighbours="cosine")
    return bundle


def add(
    bundle: BundleWriter,
    network: Network,
    cold: np.ndarray,
    prefix: str = "",
    dtype: str = "f32",
    exact: bool = False,
    name: str | None = None,
    **spaces: str,
) -> None:
    """An encoder with its graph and tables, whose names begin with `prefix`; of DreamRec its oracle too, of MCRL its
    Q-network, of the same `name`.

    `spaces`: more metrics over the rows it reads; over the rows that are scored, where those are the same as `dtype`.
    """
    items, scores, graph = (prefix + name for name in ("items", "scores", "encoder"))
    rows, scored, bias, empty = (_numpy(value) for value in (network.table, network.scored, network.bias, network.empty))
    rows, scored = (np.where(cold[:, None], np.float32(0), values) for values in (rows, scored))
    tied = network.head is None
    values = isinstance(network, MCRL) and network.valued
    if values and tied:
        spaces |= {f"{prefix}value": "dot"}
    small = tied and dtype != "f32"
    bundle.table(items, table(rows, cold=cold, empty=empty), **{items: "dot"} | ({} if small else spaces))
    output = items
    if small or not tied:
        output, source = scores, items if tied else f"{prefix}exact"
        if exact and not tied:
            bundle.table(source, table(scored))
        stored = table(scored, dtype, bias=bias, cold=cold)
        bundle.table(scores, stored, exact=source if exact else None, **{scores: "dot"} | (spaces if small else {}))
    bundle.graph(graph, *encoder_graph(network, f"{graph}.weights"))
    contract = {
        "window": network.shape.window,
        "length": "fixed" if network.fixed else "dynamic",
        "empty_row": "zero" if empty is None else "stored",
    }
    name = name or name_of(network)
    bundle.encoder(name, graph=graph, input=items, output=output, **contract)
    if isinstance(network, DreamRec):
        denoiser = f"{prefix}denoiser"
        bundle.graph(denoiser, *denoiser_graph(network, f"{denoiser}.weights"))
        own = {"encoder": name, "output": output, "graph": denoiser, "guidance": network.guidance}
        bundle.oracle(name, f"{prefix}oracle", oracle_part(network), **own)
    if values:
        own = {"encoder": name, "output": f"{prefix}value", "weight": network.weight}
        if tied:
            own |= {"graph": f"{prefix}q"}
            bundle.graph(own["graph"], *value_graph(network.value, f"{prefix}q.weights"))
        else:
            valued = np.where(cold[:, None], np.float32(0), _numpy(network.value_rows))
            source = f"{prefix}value.exact" if exact else None
            if exact:
                bundle.table(source, table(valued))
            stored = table(valued, dtype, bias=_numpy(network.value_bias), cold=cold)
            bundle.table(own["output"], stored, exact=source, **{own["output"]: "dot"})
        bundle.q_network(name, **own)


def _numpy(value: torch.Tensor | None) -> np.ndarray | None:
    return None if value is None else value.detach().cpu().numpy()


def finish(bundle: BundleWriter, about: Description, network: Network, *others: Network, seen: str = "exclude") -> None:
    """Writes everything, once ONNX Runtime answers as PyTorch does; the recipe goes by the first network."""
    complete(bundle, about, {name_of(one): one for one in (network, *others)}, seen)


def complete(bundle: BundleWriter, about: Description, networks: dict[str, Network], seen: str = "exclude") -> None:
    """The same for networks by the names that they were added under."""
    name, network = next(iter(networks.items()))
    way, count = "oracle" if isinstance(network, DreamRec) else "encoder", min(CANDIDATES, bundle.items)
    by = network.by if isinstance(network, MCRL) else None
    if by == "q":
        way = "q_network"
    steps = [{"retrieve": way, way: name, "count": count}]
    if by == "blend":
        steps.append({"rank": "q_network", "q_network": name, "count": count, "weight": network.weight})
    recipe = {"steps": steps, "cold": "popularity"}
    rest = {"similar": "neighbours", "seen": seen, "recipe": recipe, "provenance": about.provenance}
    bundle.finish(lambda written: [check(written, one, name) for name, one in networks.items()], **rest)


def check(bundle: Bundle, network: Network, name: str | None = None, tolerance: float = 1e-5) -> float:
    """The largest difference of a state, relative to the largest value of that state, over histories of every length; of
    DreamRec its oracle is checked too, of MCRL its Q-network.
    """
    name = name or name_of(network)
    generator = np.random.default_rng(0)
    encode = Encoder(bundle, name)
    warm = np.flatnonzero(encode.cold == 0)
    worst = 0.0
    for length in range(network.shape.window + 1):
        history = generator.choice(warm, length).astype(np.int64)
        expected = torch_states(network, [history])[0]
        size = max(float(np.abs(expected).max()), 1e-30)
        worst = max(worst, float(np.abs(encode(history) - expected).max()) / size)
    if worst > tolerance:
        shown = bundle.manifest["name"]
        raise Problem(f"bundle `{shown}`: the exported encoder differs from PyTorch by {worst:.2g} (allowed {tolerance:.0g})")
    if isinstance(network, DreamRec):
        check_oracle(bundle, name, network)
    if isinstance(network, MCRL) and name in bundle.manifest.get("q_networks", {}):
        check_values(bundle, name, network, [generator.choice(warm, length) for length in range(network.shape.window + 1)])
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
