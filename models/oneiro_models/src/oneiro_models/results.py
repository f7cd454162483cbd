"""Results of evaluations, and the page that shows the records of them all."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from . import Problem
from .metrics import Figure, as_table, over_seeds
from .record import file_name, keep, seedless

SUFFIX = ".result.json"
CLOSE = 1e-4
"""How far a baseline's means may be apart between results: some were read back from the page, which tells four digits."""

HEAD = (
    "# Results\n\n"
    "Written by `python -m oneiro_models results models/results models/RESULTS.md` from the [records](results/README.md), "
    "which `evaluate`, `baselines`, `agree` and `offline` keep with `--record models/results`; never by hand.\n\n"
    "Every item is ranked, those of the history left out or ranked too, as each heading says; ties count against the method. "
    "A figure is the mean over the rows ± its standard error; of several seeds, the mean of theirs ± their standard deviation. "
    "Baselines are computed anew on all rows beside every network. "
    "The epoch of a trained network is chosen by HR@10 on the first kind of rows of its data set, which flatters it a little; "
    "so does the choice among several configurations: each network's best by HR@10 (the mean over its seeds) stands in the "
    "table with every seed, the others are listed below it. "
    "DATA is the folder of the data sets, RUN that of a run.\n"
)


@dataclass(frozen=True)
class Result:
    """One evaluation: the figures of a `subject` (a run, a bundle; None: baselines alone) and of every baseline.

    A subject of several ways has a figure for each, called `subject, way`. `chosen`: what was chosen on rows of their own.
    """

    data_set: str
    rows: str
    count: int
    seen: str
    command: str
    figures: dict[str, dict[str, Figure]]
    subject: str | None = None
    seed: int | None = None
    epoch: int | None = None
    chosen: str | None = None

    @property
    def is_run(self) -> bool:
        return self.seed is not None or self.epoch is not None

    @property
    def configuration(self) -> str:
        """The command of a run, without its seed."""
        return seedless(self.command)

    def is_own(self, method: str) -> bool:
        """Whether a figure is the subject's; else it is a baseline's."""
        return self.subject is not None and (method == self.subject or method.startswith(f"{self.subject}, "))

    def file(self) -> str:
        """A file name that another evaluation of the same subject on the same rows has too; of runs, one with the same options."""
        configuration = sha256(self.configuration.encode()).hexdigest()[:8] if self.is_run else ""
        seed = "" if self.seed is None else f"seed {self.seed}"
        return file_name(self.data_set, self.rows, self.seen, self.subject or "baselines", configuration, seed) + SUFFIX

    def save(self, folder: Path) -> Path:
        return keep(self, folder, self.file())


def load(path: Path) -> Result:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        figures = {
            method: {name: Figure(**figure) for name, figure in found.items()} for method, found in content.pop("figures").items()
        }
        return Result(**content, figures=figures)
    except (ValueError, TypeError, KeyError) as error:
        raise Problem(f"{path} is not a result: {error}") from None


def page(results: Iterable[Result]) -> str:
    """A section a data set, a table for each kind of rows."""
    groups: dict[tuple, list[Result]] = {}
    for result in sorted(results, key=lambda one: (one.data_set, one.rows, one.seen, one.subject or "", one.seed or 0)):
        groups.setdefault((result.data_set, result.rows, result.seen), []).append(result)
    lines, data_set = [HEAD], None
    for (name, rows, seen), group in groups.items():
        if name != data_set:
            lines.append(f"## {name}\n")
            data_set = name
        lines.append(_section(rows, seen, group))
    return "\n".join(lines)


def _section(rows: str, seen: str, group: list[Result]) -> str:
    _agree(group)
    history = "left out" if seen == "exclude" else "ranked too"
    shown, others = _best(group)
    methods, notes = {}, []
    for result in shown:
        seed = f", seed {result.seed}" if result.seed is not None else ""
        for method, found in result.figures.items():
            methods.setdefault(method + seed * result.is_own(method), found)
        if result.subject is not None:
            told = [f"epoch {result.epoch} kept"] * bool(result.epoch) + [result.chosen] * bool(result.chosen)
            notes.append(f"- {result.subject}{seed}: `{result.command}`" + (f" ({'; '.join(told)})" if told else ""))
    for runs in _configurations(shown):
        if len(runs) > 1:
            methods |= {f"{method}, mean of {len(runs)} seeds": found for method, found in _spread(runs).items()}
    baselines = [result.command for result in group if result.subject is None]
    notes += [f"- baselines: `{command}`" for command in baselines[:1]]
    ordered = dict(sorted(methods.items(), key=lambda one: one[1]["NDCG@10"].mean))
    title = f"### {rows[0].upper()}{rows[1:]}; history {history}\n\n{group[0].count} rows.\n\n"
    return title + as_table(ordered) + "\n\n" + "\n".join(notes) + "\n" + _listed(others)


def _best(group: list[Result]) -> tuple[list[Result], list[list[Result]]]:
    """What the table shows, and the configurations that it does not: each network's best, and all that is no run."""
    networks: dict[str, list[list[Result]]] = {}
    for runs in _configurations(group):
        networks.setdefault(runs[0].subject.split(" (")[0], []).append(runs)
    ranked = [sorted(found, key=_hits, reverse=True) for found in networks.values()]
    best = [result for configurations in ranked for result in configurations[0]]
    others = sorted((runs for configurations in ranked for runs in configurations[1:]), key=_hits, reverse=True)
    return [result for result in group if not result.is_run or result in best], others


def _configurations(results: list[Result]) -> list[list[Result]]:
    """The runs, those that differ by their seed alone together."""
    found: dict[tuple, list[Result]] = {}
    for result in results:
        if result.is_run:
            found.setdefault((result.subject, result.configuration), []).append(result)
    return list(found.values())


def _spread(runs: list[Result]) -> dict[str, dict[str, Figure]]:
    """Of each way of the subject: the mean over seeds and the standard deviation."""
    ways = [method for method in runs[0].figures if runs[0].is_own(method)]
    return {way: over_seeds([run.figures[way] for run in runs]) for way in ways}


def _hits(runs: list[Result]) -> float:
    """The mean HR@10 over the seeds of a configuration."""
    return sum(run.figures[run.subject]["HR@10"].mean for run in runs) / len(runs)


def _listed(configurations: list[list[Result]]) -> str:
    """Other configurations, one line each: their options, and the mean over their seeds."""
    if not configurations:
        return ""
    lines = ["", "Other configurations:", "", "| `train` with | seeds | HR@10 | NDCG@10 | epoch kept |", "|---|---|---|---|---|"]
    for runs in configurations:
        options = runs[0].configuration.partition(" RUN")[2].strip() or "the defaults"
        gains = sum(run.figures[run.subject]["NDCG@10"].mean for run in runs) / len(runs)
        epochs = ", ".join(str(run.epoch or "") for run in runs)
        lines.append(f"| `{options}` | {len(runs)} | {_hits(runs):.4f} | {gains:.4f} | {epochs} |")
    return "\n".join(lines) + "\n"


def _agree(group: list[Result]) -> None:
    """Baselines know no seed: results that differ in them by more than rounding come from different data or code."""
    known: dict[str, dict] = {}
    for result in group:
        for method, found in result.figures.items():
            if not result.is_own(method) and not _close(known.setdefault(method, found), found):
                raise Problem(f"{result.file()} differs from another result in the figures of {method}: evaluate them anew")


def _close(found: dict[str, Figure], other: dict[str, Figure]) -> bool:
    return found.keys() == other.keys() and all(abs(found[name].mean - other[name].mean) <= CLOSE for name in found)


def write(records: Path, out: Path) -> int:
    """Writes the page of all records under a folder; how many there were."""
    from . import agree, offline
    from .explain import record as explain
    from .llara import record as llara
    from .recinterpreter import record as recinterpreter

    kinds = SUFFIX, llara.SUFFIX, recinterpreter.SUFFIX, explain.SUFFIX, agree.SUFFIX, offline.SUFFIX
    found, choices, readings, deletions, agreements, estimates = (sorted(records.rglob(f"*{suffix}")) for suffix in kinds)
    if not found:
        raise Problem(f"{records} holds no results: make some with `evaluate --record {records}`")
    text = page(map(load, found))
    if choices:
        text += "\n" + llara.section([llara.load(path) for path in choices])
    if readings:
        text += "\n" + llara.section([llara.load(path, recinterpreter.Interpretations) for path in readings], recinterpreter.HEAD)
    if deletions:
        text += "\n" + llara.section([llara.load(path, explain.Deletions) for path in deletions], explain.HEAD)
    if estimates:
        text += "\n" + offline.section([offline.load(path) for path in estimates])
    if agreements:
        text += "\n" + agree.section([agree.load(path) for path in agreements])
    out.write_text(text, encoding="utf-8")
    return len(found) + len(choices) + len(readings) + len(deletions) + len(agreements) + len(estimates)
