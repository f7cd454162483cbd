"""The commands of BIGRec: `tune-writer`, `evaluate-writer`, `export-writer`."""

import argparse
from collections.abc import Callable
from pathlib import Path

from .. import Problem
from ..llara.commands import RECOMMENDER, add_options, checkpoint_of, given, told_base, told_recommender
from .options import Writing

HELP = {
    "rows": "training rows that are drawn; 0 for all",
    "matrices": "which have an adapter: of queries and values, or all of the layers",
    "rank": "of the adapter",
    "alpha": "of the adapter; its scale is alpha / rank",
    "dropout": "share of values dropped in training",
    "learning_rate": "the highest",
    "steps": "of the optimiser, at most",
    "batch": "rows of a step",
    "validate_every": "steps from one validation to the next",
    "patience": "validations without a better one before it ends",
    "seed": "of the rows and of the training",
}
CHOICES = {"matrices": ["qv", "all"]}


def add(command: Callable[..., argparse.ArgumentParser], data: Callable) -> None:
    """Adds the commands to the program's."""
    teaches = "teach a language model to write the next title (BIGRec)"
    tune = command("tune-writer", lambda options: run_tune(options, data(options)), teaches, data=True)
    tune.add_argument("folder", type=Path, help="folder of the run: the adapter")
    tune.add_argument("--base", type=Path, required=True, help="folder of a checkpoint, or of a run of train-lm")
    tune.add_argument("--resume", action="store_true", help="go on where the run stopped, with its own options")
    add_options(tune, Writing, HELP, CHOICES)

    asks = "let a language model write titles, and rank items by how near they are"
    evaluate = command("evaluate-writer", lambda options: run_evaluate(options, data(options)), asks, data=True)
    evaluate.add_argument("subject", type=Path, help="folder of a run of tune-writer")
    evaluate.add_argument("--base", type=Path, required=True, help="the checkpoint that the run's adapter is for")
    evaluate.add_argument("--recommender", type=Path, required=True, help=RECOMMENDER)
    evaluate.add_argument("--rows", help="which of the data set's kinds of rows; the first if not given")
    evaluate.add_argument("--most", type=int, help="so many of the rows, always the same")
    evaluate.add_argument("--record", type=Path, help="folder that the result is kept in, for `results`")

    puts = "put a run of tune-writer into a bundle, to retrieve by it"
    export = command("export-writer", lambda options: run_export(options, data(options)), puts, data=True)
    export.add_argument("subject", type=Path, help="folder of a run of tune-writer")
    export.add_argument("out", type=Path, help="folder of the bundle")
    export.add_argument("--bundle", type=Path, required=True, help="folder of a bundle with the language model, all of which is taken over")
    export.add_argument("--base", type=Path, required=True, help="the checkpoint that the run's adapter is for")
    export.add_argument("--weigh", choices=["popularity", "encoder"], help="what distances are weighed by")
    export.add_argument("--gamma", type=float, help="how much that counts (default: 1)")


def run_tune(options: argparse.Namespace, data) -> None:
    from ..llara.training import options_of
    from ..llara.words import words_of
    from .tune import Writer

    chosen = options_of(options.folder, Writing) if options.resume else given(options, Writing)
    training = Writer(data, words_of(data, options.data), checkpoint_of(options.base), options.folder, chosen)
    if options.resume:
        training.resume()
    training.run()
    found = training.report()
    kept = f"step {found['kept']['step']} kept, {found['kept']['validation']:.3f} a token of validation"
    print(f"{found['trained']} parameters, {found['rows']} rows, {found['tokens']} tokens, {found['hours']:.2f} h; {kept}")


def run_evaluate(options: argparse.Namespace, data) -> None:
    from ..compare import PROGRAM
    from ..llara.recommender import recommender
    from ..llara.words import words_of
    from ..metrics import as_table
    from ..results import Result
    from . import evaluate

    known, words = recommender(options.recommender, data), words_of(data, options.data)
    model = evaluate.Written.load(options.subject, checkpoint_of(options.base), words, data.name)
    place = f"DATA/{data.name}{data.split()}"
    made, base = told_base(options.base, place)
    rows, count, found, gammas = evaluate.judged(data, options.rows, options.most, known, model)
    parts = [*made, f"{PROGRAM} tune-writer {place} RUN --base {base}{model.options.command()}"]
    chosen = f' --rows "{options.rows}"' if options.rows else ""
    chosen += f" --most {options.most}" if options.most else ""
    shown = told_recommender(options.recommender)
    parts.append(f"{PROGRAM} evaluate-writer {place} RUN --base {base} --recommender {shown}{chosen}")
    subject = model.options.described()
    result = Result(
        data.name, rows, count, data.seen, " && ".join(parts), found, subject=subject, seed=model.options.seed, chosen=gammas
    )
    print(f"{data.name}: {count} rows, {rows}; {gammas}\n\n{as_table(found)}")
    if options.record:
        print(f"\nkept in {result.save(options.record)}")


def run_export(options: argparse.Namespace, data) -> None:
    from ..compare import PROGRAM
    from ..llara.words import words_of
    from .export import export_writer

    if options.gamma is not None and not options.weigh:
        raise Problem("--gamma says how much --weigh counts, which is not given")
    words, base = words_of(data, options.data), checkpoint_of(options.base)
    gamma = 1.0 if options.gamma is None else options.gamma
    weighs = f" --weigh {options.weigh} --gamma {gamma:g}" if options.weigh else ""
    command = f"{PROGRAM} export-writer DATA RUN OUT --bundle BUNDLE --base BASE{weighs}"
    export_writer(options.subject, base, options.bundle, options.out, words, data.name, options.weigh, gamma, command)
    print(f"wrote {options.out}")
