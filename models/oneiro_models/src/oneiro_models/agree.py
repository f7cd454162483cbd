"""oneiro beside PyTorch: `oneiro eval` and the network itself rank the target of every validation row.

The network is the PyTorch module with the weights read back from the bundle. Oracles answer under the same noise,
Q-networks by Q of all items. Where two ranks differ, PyTorch's own scores say whether they may: the target's score is
moved up and down by `CLOSE` of itself, and a rank within what comes out is float rounding. Such rows are listed; every
other difference is a failure.
"""

import csv
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
from tqdm import tqdm

from . import Problem
from .bundle import Bundle
from .bundle.retyped import retyped
from .compare import PROGRAM, making
from .data import Dataset, Rows, write_events
from .encoder import bundled_network
from .metrics import figures, ranks
from .oracle import bundled_oracle
from .record import file_name, keep
from .train import Scorer
from .value import BundledValues

CLOSE = 1e-5
"""How close scores are whose order is left to rounding, relative to the target's."""
APART = 5e-4
"""How much an HR@K of oneiro's may differ from PyTorch's."""
SHOWN = ("HR@10", "NDCG@10")
SUFFIX = ".agreement.json"
BATCH = 512


@dataclass(frozen=True)
class Agreement:
    """One encoder, oracle or Q-network of a bundle on one kind of rows. A rank of None: the target never ranks."""

    data_set: str
    rows: str
    count: int
    seen: str
    bundle: str
    encoder: str
    command: str
    close: list[list]
    """Row, rank by PyTorch and rank by oneiro, where they differ and the scores are close."""
    apart: list[list]
    """The same, where they are not."""
    figures: dict[str, dict[str, float]]
    """By `PyTorch`, and by oneiro with tables of `f32`, `f16` and `i8`; those of types below the bundle's own only."""

    def problem(self) -> str | None:
        """What is wrong, if anything is."""
        own = next(name for name in self.figures if name != "PyTorch")
        what = f"{self.encoder} of {self.bundle} on {self.data_set}"
        if self.apart:
            row, expected, found = self.apart[0]
            return f"{what}: {len(self.apart)} ranks differ; the first in row {row}: {found}, PyTorch {expected}"
        for name, value in self.figures["PyTorch"].items():
            if name.startswith("HR") and abs(self.figures[own][name] - value) > APART:
                return f"{what}: {name} is {self.figures[own][name]:.4f}, PyTorch {value:.4f}"
        return None

    def save(self, folder: Path) -> Path:
        return keep(self, folder, file_name(self.data_set, self.rows, self.seen, self.bundle, self.encoder) + SUFFIX)


def agree(data: Dataset, folder: Path, oneiro: str, kind: str | None = None, seen: str | None = None) -> list[Agreement]:
    """Each encoder, oracle and Q-network of a bundle by both, with tables as they are and in the smaller types; an encoder
    that was trained to guide an oracle by that alone.
    """
    bundle = Bundle(folder)
    if bundle.strings("ids") != data.catalog.ids:
        raise Problem(f"{folder} has other items than {data.name}")
    name, seen = bundle.manifest["name"], seen or bundle.manifest["seen"]
    chosen = kind or data.kinds()[0]
    rows = data.validation_rows(chosen)
    command = f"{making(folder)}{PROGRAM} agree DATA/{data.name} {name}{data.split()}"
    command += f' --rows "{kind}"' if kind else ""
    command += f" --seen {seen}" if seen != bundle.manifest["seen"] else ""
    agreements = []
    with TemporaryDirectory() as working:
        events = Path(working) / "events.csv"
        lines = write_events(data, events, chosen)
        seeds = np.argsort(np.argsort(lines))  # of oracles: `oneiro eval` numbers rows by their lines
        bundles = _smaller(bundle, Path(working))
        oracles = bundle.manifest.get("oracles", {})
        guiding = [name for name, oracle in oracles.items() if oracle["encoder"] == name]
        ways = [("encoder", name) for name in bundle.manifest["encoders"] if name not in guiding]
        ways += [("oracle", name) for name in oracles]
        ways += [("q_network", name) for name in bundle.manifest.get("q_networks", {})]
        for way, judge in ways:
            expected, least, most = by_pytorch(bundle, way, judge, rows, seeds, seen)
            found, measured = {}, {"PyTorch": {name: figure.mean for name, figure in figures(expected).items()}}
            for dtype, path in bundles.items():
                found[dtype], measured[dtype] = by_oneiro(oneiro, path, way, judge, events, lines, seen)
            own = next(iter(found.values()))
            differ = np.flatnonzero(expected != own)
            pairs = {row: [int(row), _shown(expected[row]), _shown(own[row])] for row in differ}
            close = (least <= own) & (own <= most)
            shown = f"Q of {judge}" if way == "q_network" else judge
            agreements.append(
                Agreement(
                    data.name, chosen, len(rows), seen, name, shown, command,
                    [pair for row, pair in pairs.items() if close[row]],
                    [pair for row, pair in pairs.items() if not close[row]],
                    measured,
                )
            )  # fmt: skip
    return agreements


def by_pytorch(bundle: Bundle, way: str, name: str, rows: Rows, seeds: np.ndarray, seen: str) -> np.ndarray:
    """The rank of every target, and the least and the greatest it might be for scores as close as `CLOSE`; [3, n].
    Infinite where the target never ranks.
    """
    contract = bundle.manifest[f"{way}s"][name]
    encoder = bundle.manifest["encoders"][contract.get("encoder", name)]
    none = np.zeros(len(bundle.strings("ids")), np.uint8)
    cold, unranked = (bundle.space(s).get("cold", none) == 1 if s else none == 1 for s in (encoder["input"], contract.get("output")))
    read_back = {"encoder": bundled_network, "oracle": bundled_oracle, "q_network": BundledValues}
    scorer = Scorer(read_back[way](bundle, name), cold, unranked=unranked)
    found = []
    for start in tqdm(range(0, len(rows), BATCH), desc=f"{name} by PyTorch", leave=False):
        histories, targets = rows.histories[start : start + BATCH], rows.targets[start : start + BATCH]
        left_out = histories if seen == "exclude" else [[]] * len(histories)
        place = np.arange(len(targets))
        scores = scorer(histories, seeds[start : start + BATCH])
        scores = scores[0] if scorer.draws else scores
        own = scores[place, targets]
        possible = []
        ranked = np.isfinite(own)
        for step in (0, CLOSE, -CLOSE):
            scores[place, targets] = np.where(ranked, own + step * np.abs(np.where(ranked, own, 0)), own)
            possible.append(np.where(ranked, ranks(scores, left_out, targets), np.inf))
        found.append(np.stack(possible))
    return np.concatenate(found, axis=1)


def by_oneiro(
    oneiro: str, bundle: Path, way: str, name: str, events: Path, lines: np.ndarray, seen: str
) -> tuple[np.ndarray, dict]:
    """The rank of every target by `oneiro eval`, infinite where it never ranks, and its figures."""
    out = events.with_name("ranks.csv")
    by = {"q_network": "q"}.get(way, way)
    options = ["--by", by, f"--{way.replace('_', '-')}", name, "--seen", seen, "--ranks", str(out), "--json"]
    command = [oneiro, "eval", str(bundle), str(events), *options]
    try:
        run = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment())
    except OSError as error:
        raise Problem(f"{oneiro} cannot be run: {error}; name the command with --oneiro") from None
    if run.returncode:
        raise Problem(f"{oneiro} eval failed: {run.stderr.strip()}")
    with open(out, encoding="utf-8", newline="") as file:
        found = {int(row["line"]): float(row["rank"] or "inf") for row in csv.DictReader(file)}
    if sorted(found) != sorted(lines.tolist()):
        raise Problem(f"{oneiro} eval ranked {len(found)} rows, expected {len(lines)}")
    figures = json.loads(run.stdout)["figures"]
    measured = {f"{metric.upper()}@{one['k']}": one[metric]["mean"] for metric in ("hr", "ndcg") for one in figures}
    return np.array([found[line] for line in lines.tolist()]), measured


def environment() -> dict[str, str]:
    """The environment to run oneiro in: it takes this package's ONNX Runtime unless another is named."""
    library = next(Path(onnxruntime.__file__).parent.glob("capi/*onnxruntime.*[0-9ylb]"), None)
    return ({"ORT_DYLIB_PATH": str(library)} if library else {}) | os.environ


def _smaller(bundle: Bundle, working: Path) -> dict[str, Path]:
    """The bundle, and copies of it whose tables are smaller, by the type of their tables."""
    encoders = bundle.manifest["encoders"].values()
    own = {bundle.manifest["spaces"][encoder[space]]["dtype"] for encoder in encoders for space in ("input", "output")}
    smaller = ("f16", "i8") if own == {"f32"} else ()
    return {"/".join(sorted(own)): bundle.folder} | {dtype: retyped(bundle, dtype, working / dtype).folder for dtype in smaller}


def _shown(rank: float) -> int | None:
    return int(rank) if np.isfinite(rank) else None


def load(path: Path) -> Agreement:
    try:
        return Agreement(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise Problem(f"{path} is not an agreement: {error}") from None


def section(agreements: list[Agreement]) -> str:
    """The table of all agreements, and below it the rows that rounding decided."""
    heads = ["data set", "rows", "history", "encoder", "same rank", "close scores", "other"]
    types = ["PyTorch", "f32", "f16", "i8"]
    lines = [HEAD, "| " + " | ".join(heads + types) + " |", "|---" * (len(heads) + len(types)) + "|"]
    notes, commands = [], []
    for one in sorted(agreements, key=lambda one: (one.data_set, one.rows, one.seen, one.encoder, one.bundle)):
        history = "left out" if one.seen == "exclude" else "ranked too"
        same = one.count - len(one.close) - len(one.apart)
        cells = [one.data_set, f"{one.count}, {one.rows}", history, f"{one.encoder} of {one.bundle}"]
        cells += [str(same), str(len(one.close)), str(len(one.apart))]
        cells += [" / ".join(f"{one.figures[kind][name]:.4f}" for name in SHOWN) if kind in one.figures else "" for kind in types]
        lines.append("| " + " | ".join(cells) + " |")
        who = f"{one.encoder} of {one.bundle} on {one.data_set}"
        for what, rows in (("close", one.close), ("other", one.apart)):
            if rows:
                notes.append(f"- {what}, {who}: " + ", ".join(f"row {row}: {a} → {b}" for row, a, b in rows))
        commands.append(f"- {who}: `{one.command}`")
    return "\n".join(lines) + "\n\n" + "\n".join(notes + commands) + "\n"


HEAD = (
    "## oneiro beside PyTorch\n\n"
    "The rank of every row's target by `oneiro eval` and by the PyTorch network with the bundle's weights. Where ranks differ, "
    "scores are close if PyTorch's own, moved by a hundred-thousandth of the target's, give oneiro's rank too: that is float "
    "rounding, and these rows are listed below, numbered from 0, with the rank by PyTorch and by oneiro. Then HR@10 / NDCG@10 by "
    "PyTorch, and by `oneiro eval` with every item table in f32, in f16 and in i8: what smaller tables cost.\n"
)
