"""Records of choices among twenty, and their section of the page of results."""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from .. import Problem
from ..metrics import Figure, as_table, over_seeds
from ..record import file_name, keep, seedless

SUFFIX = ".choice.json"

HEAD = (
    "## The one of twenty: language models that have learned taste\n\n"
    "LLaRA (arXiv 2312.02445): the item that came next stands among 19 drawn from all that are not in the history, in any order. "
    "HitRatio@1: hits among all rows; ValidRatio: rows with exactly one candidate in the answer. `constrained`: the candidates' "
    "titles are scored, each with its end, over the whole vocabulary; `among titles`: over the tokens of the candidates; `free`: the model writes, and the titles are looked for "
    "in what it wrote. Candidates and templates are the same for every method; ties count against it. "
    "A figure is the mean over the rows ± its standard error; of several seeds, the mean of theirs ± their standard deviation. "
    "BASE is a run of `train-lm`, RUN one of `tune-lm`.\n"
)


@dataclass(frozen=True)
class Choices:
    """One evaluation: the figures of every method; `subject`: what was tuned, and how; None: nothing was."""

    data_set: str
    rows: str
    count: int
    command: str
    figures: dict[str, dict[str, Figure]]
    subject: str | None = None
    seed: int | None = None
    suffix = SUFFIX

    @property
    def configuration(self) -> str:
        """The command without the seed of the tuning."""
        return seedless(self.command)

    def file(self) -> str:
        """A name that another evaluation of the same configuration and seed on the same rows has too."""
        configuration = sha256(self.configuration.encode()).hexdigest()[:8]
        seed = "" if self.seed is None else f"seed {self.seed}"
        return file_name(self.data_set, self.rows, self.subject or "stage 1 alone", configuration, seed) + self.suffix

    def save(self, folder: Path) -> Path:
        return keep(self, folder, self.file())

    @property
    def own(self) -> dict[str, dict[str, Figure]]:
        """The figures of the language model."""
        return {name: found for name, found in self.figures.items() if name.endswith(("constrained", "among titles", "free"))}


def load(path: Path, kind: type[Choices] = Choices) -> Choices:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        by_method = content.pop("figures").items()
        figures = {method: {name: Figure(**one) for name, one in found.items()} for method, found in by_method}
        return kind(**content, figures=figures)
    except (ValueError, TypeError, KeyError) as error:
        raise Problem(f"{path} is no record of {kind.__name__.lower()}: {error}") from None


def section(records: list[Choices], head: str = HEAD) -> str:
    """A table for each data set and kind of rows."""
    groups: dict[tuple, list[Choices]] = {}
    for one in sorted(records, key=lambda one: (one.data_set, one.rows, one.subject or "", one.configuration, one.seed or 0)):
        groups.setdefault((one.data_set, one.rows, one.count), []).append(one)
    lines = [head]
    for (data_set, rows, count), group in groups.items():
        lines.append(f"### {data_set}: {rows}\n\n{count} rows.\n\n{_table(group)}\n")
    return "\n".join(lines)


def _table(group: list[Choices]) -> str:
    methods, notes = {}, []
    for one in group:
        for name, found in one.figures.items():
            if name not in one.own and methods.setdefault(name, found) != found:
                raise Problem(f"{one.file()} differs from another record in the figures of {name}: evaluate it anew")
    for runs in _configurations(group):
        subject = runs[0].subject or "stage 1 alone"
        for name in runs[0].own:
            shown = [run.own[name] for run in runs if name in run.own]
            several = f", mean of {len(shown)} seeds" if len(shown) > 1 else ""
            shown_as = name if name == subject else f"{subject}: {name}"
            methods[shown_as + several] = over_seeds(shown)
        seeds = ", ".join(str(run.seed) for run in runs if run.seed is not None)
        subject += f", seed{'s' * (len(runs) > 1)} {seeds}" if seeds else ""
        notes.append(f"- {subject}: `{runs[0].configuration}`")
    return as_table(methods) + "\n\n" + "\n".join(notes)


def _configurations(group: list[Choices]) -> list[list[Choices]]:
    found: dict[tuple, list[Choices]] = {}
    for one in group:
        found.setdefault((one.subject, one.configuration), []).append(one)
    return list(found.values())
