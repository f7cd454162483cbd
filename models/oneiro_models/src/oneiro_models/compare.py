"""Methods side by side on the validation rows of a data set."""

from pathlib import Path

from . import Problem
from .baselines import baselines
from .bundle import Bundle
from .data import Dataset
from .inference import scorer_of
from .metrics import Figure, evaluate, figures
from .results import Result
from .train import Scorer, kept_epoch, load_run, never_ranked

PROGRAM = "python -m oneiro_models"


def compare(data: Dataset, trained: dict, seen: str = "exclude", kind: str | None = None) -> dict[str, dict[str, Figure]]:
    """The figures of every baseline and of the `trained` scorers (histories → scores [B, N]) on the rows of one kind."""
    rows = data.validation_rows(kind)
    methods = {name: method(data.train, data.items) for name, method in baselines(seen).items()}
    return {name: figures(evaluate(score, rows, seen, name=name)) for name, score in (methods | trained).items()}


def evaluated(
    data: Dataset,
    subject: Path | None,
    kind: str | None = None,
    seen: str | None = None,
    by: str | None = None,
    blend: float | None = None,
) -> Result:
    """A run or a bundle (None: nothing) beside the baselines, with how to do it again.

    A run of MCRL ranks `by` its logits, by Q, or by a blend of the two.
    """
    about, trained, command = {}, {}, f"{PROGRAM} baselines DATA/{data.name}{data.split()}"
    if subject and (subject / "manifest.json").exists():
        bundle = Bundle(subject)
        items = bundle.manifest["catalog"]["items"]
        if items != data.items:
            raise Problem(f"{subject} has {items} items, the data have {data.items}")
        scorer, seen = scorer_of(bundle), seen or bundle.manifest["seen"]
        about = {"subject": f"{scorer.name} of bundle {bundle.manifest['name']}"}
        trained = {about["subject"]: scorer}
        command = f"{PROGRAM} evaluate DATA/{data.name} {bundle.manifest['name']}{data.split()}"
    elif subject:
        network, options = load_run(subject, data, by, blend)
        shape, seen = network.shape, seen or options.seen
        network_name = network.title + (" with attributes" if options.attributes == "added" else "")
        name = f"{network_name} ({shape.blocks} × {shape.width}, window {shape.window})"
        about = {"subject": name, "seed": options.seed, "epoch": kept_epoch(subject, data)}
        trained = {name: Scorer(network, never_ranked(data, options), seen)}
        command = f"{PROGRAM} train DATA/{data.name} RUN{data.split()}{options.command()}"
        if by or blend is not None:
            command += f" && {PROGRAM} evaluate DATA/{data.name} RUN{data.split()}{ranking(by, blend)}"
    seen = seen or data.seen
    chosen = kind or data.kinds()[0]
    if kind and not about.get("epoch"):
        command += f' --rows "{kind}"'
    if not about.get("epoch") and seen != data.seen:
        command += f" --seen {seen}"
    found = compare(data, trained, seen, chosen)
    return Result(data.name, chosen, len(data.validation_rows(chosen)), seen, making(subject) + command, found, **about)


def ranking(by: str | None, blend: float | None) -> str:
    """What a command line says to rank a run of MCRL so."""
    return (f" --by {by}" if by else "") + ("" if blend is None else f" --blend {blend}")


def making(subject: Path | None) -> str:
    """How a bundle came about, by its own word, to stand before another command."""
    if subject is None or not (subject / "manifest.json").exists():
        return ""
    command = Bundle(subject).manifest.get("provenance", {}).get("command")
    return f"{command} && " if command else ""
