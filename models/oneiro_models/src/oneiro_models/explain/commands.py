"""The commands of explanations: `tune-explainer`, `evaluate-explainer`, `export-explainer`."""

import argparse
from collections.abc import Callable
from pathlib import Path

from ..llara.commands import add_options, checkpoint_of, given
from ..recinterpreter.commands import BUNDLE, named_encoder
from .options import ROWS, Explaining

HELP = {
    "rank": "of the adapter",
    "alpha": "of the adapter; its scale is alpha / rank",
    "dropout": "share of values dropped in the adapter",
    "learning_rate": "the highest",
    "rows": "training rows that sentences are made of",
    "steps": "of the optimiser",
    "batch": "sentences of a step",
    "seed": "of the rows and of the training",
}


def add(command: Callable[..., argparse.ArgumentParser], data: Callable) -> None:
    """Adds the commands to the program's."""
    teaches = "teach a language model to say why an item is recommended"
    tune = command("tune-explainer", lambda options: run_tune(options, data(options)), teaches, data=True)
    tune.add_argument("folder", type=Path, help="folder of the run: the adapter")
    tune.add_argument("--resume", action="store_true", help="go on where the run stopped, with its own options")
    add_options(tune, Explaining, HELP, {})

    asks = "measure how far scores fall without the items that an explanation names"
    evaluate = command("evaluate-explainer", lambda options: run_evaluate(options, data(options)), asks, data=True)
    evaluate.add_argument("--rows", help="which of the data set's kinds of rows; the first if not given")
    evaluate.add_argument("--most", type=int, default=ROWS, help="so many of the rows, always the same")
    evaluate.add_argument("--record", type=Path, help="folder that the result is kept in, for `results`")

    puts = "put a run of tune-explainer into a bundle"
    export = command("export-explainer", lambda options: run_export(options, data(options)), puts, data=True)
    export.add_argument("subject", type=Path, help="folder of a run of tune-explainer")
    export.add_argument("out", type=Path, help="folder of the bundle")
    for one in (tune, export):
        one.add_argument("--base", type=Path, required=True, help="folder of a checkpoint, or of a run of train-lm")
    for one in (tune, evaluate, export):
        one.add_argument("--bundle", type=Path, required=True, help=BUNDLE)
        one.add_argument("--encoder", help="the encoder, instead of the bundle's first")


def run_tune(options: argparse.Namespace, data) -> None:
    from ..bundle import Bundle
    from ..llara.training import options_of
    from ..llara.words import words_of
    from .tune import Explanations

    chosen = options_of(options.folder, Explaining) if options.resume else given(options, Explaining)
    bundle, words = Bundle(options.bundle), words_of(data, options.data)
    encoder = named_encoder(bundle, options.encoder)
    training = Explanations(data, words, checkpoint_of(options.base), bundle, encoder, options.folder, chosen)
    if options.resume:
        training.resume()
    training.run()
    found = training.report()
    print(f"{found['trained']} parameters, {found['rows']} rows, {found['tokens']} tokens, {found['hours']:.2f} h; kept in {options.folder}")


def run_evaluate(options: argparse.Namespace, data) -> None:
    from ..bundle import Bundle
    from ..compare import PROGRAM
    from ..inference import BundleScorer
    from ..metrics import as_table
    from . import evaluate
    from .record import Deletions

    bundle, place = Bundle(options.bundle), f"DATA/{data.name}{data.split()}"
    name = named_encoder(bundle, options.encoder)
    rows, count, found = evaluate.judged(data, options.rows, options.most, BundleScorer(bundle, name))
    chosen = f" --encoder {name}" if options.encoder else ""
    chosen += f' --rows "{options.rows}"' if options.rows else ""
    chosen += f" --most {options.most}" if options.most != ROWS else ""
    command = f"{PROGRAM} evaluate-explainer {place} --bundle {options.bundle.name}{chosen}"
    result = Deletions(data.name, rows, count, command, found, f"{name} of bundle {options.bundle.name}")
    print(f"{data.name}: {count} rows, {rows}\n\n{as_table(found)}")
    if options.record:
        print(f"\nkept in {result.save(options.record)}")


def run_export(options: argparse.Namespace, data) -> None:
    from ..bundle import Bundle
    from ..compare import PROGRAM
    from ..llara.words import words_of
    from .export import export_explainer

    words, base = words_of(data, options.data), checkpoint_of(options.base)
    encoder = named_encoder(Bundle(options.bundle), options.encoder)
    command = f"{PROGRAM} export-explainer DATA RUN OUT --bundle BUNDLE --base BASE --encoder {encoder}"
    export_explainer(options.subject, base, options.bundle, encoder, options.out, words, data.name, command)
    print(f"wrote {options.out}")
