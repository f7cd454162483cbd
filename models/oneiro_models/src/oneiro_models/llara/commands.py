"""The commands of LLaRA: `train-lm`, `tune-lm`, `evaluate-lm`, `export-taste`."""

import argparse
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from .options import Pretraining, Tuning

HELP = {
    "vocabulary": "the most tokens",
    "width": "of tokens and states",
    "inner": "width inside the layers",
    "layers": "of the network",
    "heads": "of the attention, of queries",
    "kv_heads": "of the attention, of keys and values",
    "context": "the most tokens of a text",
    "prompts": "share of the documents that are not single titles: prompts of text alone with answers; the others are lists",
    "dropout": "share of values dropped in training",
    "left_out": "share of the items of a history that are left out of a document, others each time",
    "learning_rate": "the highest",
    "weight_decay": "of AdamW, on matrices",
    "steps": "of the optimiser",
    "rows": "of a step, each full of documents",
    "length": "tokens of a row",
    "validate_every": "steps from one validation to the next",
    "curriculum": "how likely a batch is hybrid: step / steps; ever; never; or as the published code has it",
    "weights": "what learns beside the projector: an adapter, or all weights of the layers",
    "labels": "what is learned of a prompt: its answer, or what its history says of itself too",
    "rank": "of the adapter",
    "alpha": "of the adapter; its scale is alpha / rank",
    "projector_decay": "weight decay of the projector",
    "batch": "prompts of a step",
    "seed": "the same seed and versions give the same model on one machine",
}
RECOMMENDER = "a file of the weights of LLaRA's authors, a bundle, or a run on the same events"
CHOICES = {"curriculum": ["ramp", "hybrid", "text", "saw-tooth"], "weights": ["lora", "full"], "labels": ["answer", "history"]}


def add(command: Callable[..., argparse.ArgumentParser], data: Callable) -> None:
    """Adds the commands to the program's."""
    train = command("train-lm", lambda options: run_train(options, data(options)), "train oneiro-lm on histories", data=True)
    train.add_argument("folder", type=Path, help="folder of the run: checkpoints, and the model in `checkpoint`")
    train.add_argument("--resume", action="store_true", help="go on where the run stopped, with its own options")
    add_options(train, Pretraining, HELP, CHOICES)

    teaches = "teach a language model taste (LLaRA)"
    tune = command("tune-lm", lambda options: run_tune(options, data(options)), teaches, data=True)
    tune.add_argument("folder", type=Path, help="folder of the run: the adapter and the projector")
    tune.add_argument("--base", type=Path, required=True, help="folder of a checkpoint, or of a run of train-lm")
    tune.add_argument("--recommender", type=Path, required=True, help=RECOMMENDER)
    tune.add_argument("--resume", action="store_true", help="go on where the run stopped, with its own options")
    add_options(tune, Tuning, HELP, CHOICES)

    asks = "ask a language model for the one of twenty"
    evaluate = command("evaluate-lm", lambda options: run_evaluate(options, data(options)), asks, data=True)
    evaluate.add_argument("subject", type=Path, help="folder of a run of tune-lm, or of a checkpoint, asked by text alone")
    evaluate.add_argument("--base", type=Path, help="the checkpoint that the run's adapter is for")
    evaluate.add_argument("--recommender", type=Path, required=True, help=RECOMMENDER)
    evaluate.add_argument("--rows", help="which of the data set's kinds of rows; the last if not given, with --rerank the first")
    evaluate.add_argument("--most", type=int, help="so many of the rows, always the same")
    evaluate.add_argument("--rerank", action="store_true", help="rank the recommender's best 20 anew, among all items, instead")
    evaluate.add_argument("--decode", choices=["all", "constrained", "among titles", "free"], default="all")
    evaluate.add_argument("--record", type=Path, help="folder that the result is kept in, for `results`")


    export = command(
        "export-taste", lambda options: run_export(options, data(options)), "put a run of tune-lm into a bundle, to rank by it", data=True
    )
    export.add_argument("subject", type=Path, help="folder of a run of tune-lm")
    export.add_argument("out", type=Path, help="folder of the bundle")
    export.add_argument("--bundle", type=Path, required=True, help="folder of a bundle of the same items, all of which is taken over")
    export.add_argument("--base", type=Path, help="the checkpoint that the run's adapter is for")
    export.add_argument("--recommender", type=Path, required=True, help=RECOMMENDER)
    export.add_argument("--merged", action="store_true", help="merge the adapter into the weights; else it stays exchangeable")
    export.add_argument("--precision", choices=["f32", "f16", "int8", "int4"], default="int8", help="of the weights")
    export.add_argument("--accuracy", type=int, choices=[1, 2, 4], default=4, help="of what is multiplied, as of export-llm")


def add_options(command: argparse.ArgumentParser, kind: type, help: dict[str, str], choices: dict[str, list[str]]) -> None:
    """A flag for every option; one that is not given stays away."""
    for field in fields(kind):
        flag = "--" + field.name.replace("_", "-")
        told = f"{help[field.name]} (default: {field.default})"
        command.add_argument(flag, type=field.type, default=argparse.SUPPRESS, choices=choices.get(field.name), help=told)


def given(options: argparse.Namespace, kind: type):
    """The options that were given, the others by default."""
    return kind(**{field.name: getattr(options, field.name) for field in fields(kind) if hasattr(options, field.name)})


def run_train(options: argparse.Namespace, data) -> None:
    from .pretrain import Stage1
    from .training import options_of
    from .words import words_of

    chosen = options_of(options.folder, Pretraining) if options.resume else given(options, Pretraining)
    training = Stage1(data, words_of(data, options.data), options.folder, chosen)
    if options.resume:
        training.resume()
    training.run()
    found = training.report()
    told = ", ".join(f"{name} {value:.1f}" for name, value in found["baselines"].items())
    speed = f"{found['tokens_a_second']:.0f} a second, {found['hours']:.2f} h"
    print(f"{found['parameters']} parameters, {found['tokens']} tokens, {speed}")
    print(f"perplexity of the next title {found['kept']['perplexity']:.2f} (baselines: {told})")
    print(f"step {found['kept']['step']} kept in {options.folder / 'checkpoint'}")


def checkpoint_of(folder: Path) -> Path:
    """A checkpoint, or that of a run of stage 1."""
    return folder if (folder / "config.json").is_file() else folder / "checkpoint"


def run_tune(options: argparse.Namespace, data) -> None:
    from .training import options_of
    from .recommender import recommender
    from .tune import Stage2
    from .words import words_of

    chosen = options_of(options.folder, Tuning) if options.resume else given(options, Tuning)
    known, base = recommender(options.recommender, data), checkpoint_of(options.base)
    training = Stage2(data, words_of(data, options.data), base, known, options.folder, chosen)
    if options.resume:
        training.resume()
    training.run()
    found = training.report()
    trained = f"{found['trained']} parameters and {found['projector']} of the projector"
    print(f"{trained}, {found['tokens']} tokens, {found['hours']:.2f} h; kept in {options.folder}")


def run_evaluate(options: argparse.Namespace, data) -> None:
    from ..metrics import as_table
    from ..results import Result
    from . import evaluate, rerank
    from .record import Choices
    from .recommender import recommender
    from .tuned import Tuned
    from .words import words_of

    known, words = recommender(options.recommender, data), words_of(data, options.data)
    base = checkpoint_of(options.base) if options.base else None
    model = Tuned.load(options.subject, base, words, known.rows)
    kind, command = "hybrid" if model.table is not None else "text", told(options, data, model)
    about = {"subject": model.options and model.options.described(), "seed": model.options and model.options.seed}
    if options.rerank:
        called, rows = rerank.some(data, options.rows, options.most)
        about["subject"] = f"{about['subject'] or 'stage 1 alone'} over the best 20 of {known.name}"
        found = rerank.reranked(data, rows, known, model, about["subject"])
        result = Result(data.name, called, len(rows), "exclude", command, found, **about)
    else:
        asked = evaluate.Asked.of(data, len(words.templates), options.rows, options.most)
        found = evaluate.without_training(data, asked.choices) | {known.name: evaluate.alone(known, asked.choices)}
        for decode in ("constrained", "among titles", "free"):
            if options.decode in ("all", decode):
                found[f"{kind}, {decode}"] = getattr(evaluate, decode.replace(" ", "_"))(model, asked.choices)
        if options.decode == "all":
            other = evaluate.apart(model, asked.choices)
            print(f"among titles another is the best in {other} of {len(asked.choices)} rows\n")
        result = Choices(data.name, asked.rows, len(asked.choices), command, found, **about)
    print(f"{data.name}: {result.count} rows, {result.rows}\n")
    print(as_table(found))
    if options.record:
        print(f"\nkept in {result.save(options.record)}")


def run_export(options: argparse.Namespace, data) -> None:
    from ..compare import PROGRAM
    from ..export_llm import Written
    from .export import export_taste
    from .recommender import recommender
    from .training import options_of
    from .words import words_of

    known, words = recommender(options.recommender, data), words_of(data, options.data)
    base = checkpoint_of(options.base) if options.base else None
    chosen = f" --precision {options.precision}" + " --merged" * options.merged
    chosen += f" --accuracy {options.accuracy}" if options.accuracy != 4 else ""
    made, told = told_base(options.base, "DATA")
    tuned = options_of(options.subject, Tuning).command()
    command = " && ".join([
        *made,
        f"{PROGRAM} tune-lm DATA RUN --base {told} --recommender BUNDLE{tuned}",
        f"{PROGRAM} export-taste DATA RUN OUT --bundle BUNDLE --base {told} --recommender BUNDLE{chosen}",
    ])  # fmt: skip
    written = Written(precision=options.precision, accuracy=options.accuracy)
    export_taste(options.subject, base, known, options.bundle, options.out, words, written, options.merged, command)
    print(f"wrote {options.out}")


def told(options: argparse.Namespace, data, model) -> str:
    """How to do it again, from the first step."""
    from ..compare import PROGRAM

    place = f"DATA/{data.name}{data.split()}"
    known = told_recommender(options.recommender)
    parts, base = told_base(options.base if model.options else options.subject, place)
    if model.options:
        parts.append(f"{PROGRAM} tune-lm {place} RUN --base {base} --recommender {known}{model.options.command()}")
    subject = f"RUN --base {base}" if model.options else "BASE/checkpoint" if base == "BASE" else base
    chosen = f' --rows "{options.rows}"' if options.rows else ""
    chosen += f" --most {options.most}" if options.most else ""
    chosen += " --rerank" if options.rerank else ""
    return " && ".join([*parts, f"{PROGRAM} evaluate-lm {place} {subject} --recommender {known}{chosen}"])


def told_recommender(path: Path) -> str:
    return f"DATA/{path.parent.name}/{path.name}" if path.suffix else path.name


def told_base(base: Path | None, place: str) -> tuple[list[str], str]:
    """How a base was trained, if a run of ours holds it, and what a command calls it."""
    from ..compare import PROGRAM
    from .training import options_of

    trained = next((run for run in (base, base.parent) if (run / "options.json").is_file()), None) if base else None
    if trained:
        return [f"{PROGRAM} train-lm {place} BASE{options_of(trained, Pretraining).command()}"], "BASE"
    return [], "BASE" if base is None else f"DATA/{base.name}"
