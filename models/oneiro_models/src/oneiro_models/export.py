"""Writes a trained network as a bundle, and checks that the bundle answers as PyTorch does."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from . import Problem
from .bundle import Bundle, BundleWriter, Catalog
from .bundle.table import table
from .compare import PROGRAM, compare, ranking
from .data import Dataset
from .encoder import bundled_network, encoder_graph
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


@dataclass
class Trained:
    """A network of a run, or of a bundle that was exported before, and how it came about."""

    network: Network
    cold: np.ndarray
    seen: str
    command: str

    @classmethod
    def of(cls, folder: Path, data: Dataset, by: str | None = None, blend: float | None = None) -> "Trained":
        if (folder / "manifest.json").exists():
            bundle = Bundle(folder)
            if bundle.strings("ids") != data.catalog.ids:
                raise Problem(f"{folder} has other items than {data.name}")
            space = bundle.space(next(iter(bundle.manifest["encoders"].values()))["output"])
            cold = space.get("cold", np.zeros(data.items)) == 1
            if by or blend is not None:
                raise Problem(f"{folder} is a bundle, whose encoder ranks in one way only")
            command = bundle.manifest.get("provenance", {}).get("command", "")
            return cls(bundled_network(bundle), cold, bundle.manifest["seen"], command)
        network, options = load_run(folder, data, by, blend)
        command = f"{PROGRAM} train DATA RUN{data.split()}{options.command()}"
        return cls(network, never_ranked(data, options), options.seen, command)

    @property
    def title(self) -> str:
        return self.network.title

    def guides(self, other: "Trained") -> bool:
        """Whether an oracle goes by the very states of this network, and ranks the same rows."""
        if not isinstance(other.network, DreamRec) or not np.array_equal(self.cold, other.cold):
            return False
        own, others = self.network.state_dict(), other.network.state_dict()
        for rows in (own, others):
            # What training left in rows that never rank is not in a bundle.
            rows["items.weight"] = rows["items.weight"][:-1][torch.tensor(~self.cold)]
        return all(name in others and torch.equal(weight, others[name]) for name, weight in own.items())


def export(
    data: Dataset,
    folders: list[Path],
    out: Path,
    name: str,
    description: str,
    dtype: str = "f32",
    exact: bool = False,
    by: str | None = None,
    blend: float | None = None,
) -> None:
    """The bundle of the best networks of some runs, with their validation figures beside those of the baselines. A folder
    may also be a bundle, whose first encoder is taken.

    The recipe goes by the first; that of MCRL ranks `by` its logits, by Q, or by a blend of the two.
    """
    first, *others = [Trained.of(folder, data, *((by, blend) if folder == folders[0] else ())) for folder in folders]
    names = [name_of(one.network) for one in (first, *others)]
    if len(set(names)) < len(names):
        raise Problem(f"a bundle holds each kind of network once, not {' and '.join(names)}")
    methods = compare(data, {one.title: Scorer(one.network, one.cold, one.seen) for one in (first, *others)}, first.seen)
    metrics = {figure: round(found.mean, 4) for figure, found in methods.pop(first.title).items()}
    for method, found in methods.items():
        metrics |= {f"{figure} {method}": round(found[figure].mean, 4) for figure in ("HR@10", "NDCG@10")}
    stored = (f" --dtype {dtype}" if dtype != "f32" else "") + (" --exact" if exact else "")
    stored += ranking(by, blend) + " --with RUN" * len(others)
    exported = f"{PROGRAM} export DATA RUN OUT{data.split()}{stored}"
    provenance = {
        "licence": data.origin.licence,
        "credit": data.origin.credit,
        "data_set": data.origin.data_set,
        "command": " && ".join([*(one.command for one in (first, *others) if one.command), exported]),
        "metrics": metrics,
    }
    about = Description(name, description, {key: value for key, value in provenance.items() if value})
    bundle = write(out, about, data.catalog, first.network, first.cold, dtype, exact)
    for one in others:
        guide = name_of(first.network) if first.guides(one) else None
        add(bundle, one.network, one.cold, f"{name_of(one.network)}.", dtype, exact, guide=guide)
    finish(bundle, about, first.network, *(one.network for one in others), seen=first.seen)


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
    guide: str | None = None,
    **spaces: str,
) -> None:
    """An encoder with its graph and tables, whose names begin with `prefix`; of DreamRec its oracle too, of MCRL its
    Q-network, of the same `name`.

    `guide`: an encoder of the bundle that has these very weights and tables; the oracle then goes by that one.
    `spaces`: more metrics over the rows it reads; over the rows that are scored, where those are the same as `dtype`.
    """
    name = name or name_of(network)
    if guide:
        add_oracle(bundle, network, prefix, name, guide, bundle.manifest["encoders"][guide]["output"])
        return
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
    bundle.encoder(name, graph=graph, input=items, output=output, **contract)
    if isinstance(network, DreamRec):
        add_oracle(bundle, network, prefix, name, name, output)
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


def add_oracle(bundle: BundleWriter, network: DreamRec, prefix: str, name: str, encoder: str, output: str) -> None:
    """DreamRec's denoiser with its tables: an oracle that goes by the states of `encoder` and ranks the space `output`."""
    denoiser = f"{prefix}denoiser"
    bundle.graph(denoiser, *denoiser_graph(network, f"{denoiser}.weights"))
    contract = {"encoder": encoder, "output": output, "graph": denoiser, "guidance": network.guidance}
    bundle.oracle(name, f"{prefix}oracle", oracle_part(network), **contract)


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
    encode = Encoder(bundle, bundle.manifest.get("oracles", {}).get(name, {}).get("encoder", name))
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
