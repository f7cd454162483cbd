"""The commands of RecInterpreter: `tune-interpreter`, `evaluate-interpreter`, `export-interpreter`."""

import argparse
from collections.abc import Callable
from pathlib import Path

from .. import Problem
from ..llara.commands import add_options, checkpoint_of, given, told_base
from .options import ROWS, Reading

HELP = {
    "weights": "what learns beside the linear layer: an adapter, or nothing",
    "rank": "of the adapter",
    "alpha": "of the adapter; its scale is alpha / rank",
    "dropout": "share of values dropped in the adapter",
    "learning_rate": "the highest",
    "weight_decay": "of AdamW",
    "steps": "of the optimiser",
    "batch": "questions of a step",
    "seed": "the same seed and versions give the same model on one machine",
}
CHOICES = {"weights": ["lora", "frozen"]}
BUNDLE = "folder of a bundle with the encoder whose states are read"


def add(command: Callable[..., argparse.ArgumentParser], data: Callable) -> None:
    """Adds the commands to the program's."""
    teaches = "teach a language model to say what an encoder's states mean (RecInterpreter)"
    tune = command("tune-interpreter", lambda options: run_tune(options, data(options)), teaches, data=True)
    tune.add_argument("folder", type=Path, help="folder of the run: the layer and the adapter")
    tune.add_argument("--resume", action="store_true", help="go on where the run stopped, with its own options")
    add_options(tune, Reading, HELP, CHOICES)

    asks = "count what a language model reads out of states"
    evaluate = command("evaluate-interpreter", lambda options: run_evaluate(options, data(options)), asks, data=True)
    evaluate.add_argument("subject", type=Path, help="folder of a run of tune-interpreter")
    evaluate.add_argument("--rows", help="which of the data set's kinds of rows; the first if not given")
    evaluate.add_argument("--most", type=int, default=ROWS, help="so many of the rows, always the same")
    evaluate.add_argument("--record", type=Path, help="folder that the result is kept in, for `results`")

    puts = "put a run of tune-interpreter into a bundle, to interpret by it"
    export = command("export-interpreter", lambda options: run_export(options, data(options)), puts, data=True)
    export.add_argument("subject", type=Path, help="folder of a run of tune-interpreter")
    export.add_argument("out", type=Path, help="folder of the bundle")
    for one in (tune, evaluate, export):
        one.add_argument("--base", type=Path, required=True, help="folder of a checkpoint, or of a run of train-lm")
        one.add_argument("--bundle", type=Path, required=True, help=BUNDLE)
        one.add_argument("--encoder", help="the encoder, instead of the bundle's first")


def run_tune(options: argparse.Namespace, data) -> None:
    from ..bundle import Bundle
    from ..llara.training import options_of
    from ..llara.words import words_of
    from .tune import Reader

    chosen = options_of(options.folder, Reading) if options.resume else given(options, Reading)
    bundle, words = Bundle(options.bundle), words_of(data, options.data)
    encoder = named_encoder(bundle, options.encoder)
    training = Reader(data, words, checkpoint_of(options.base), bundle, encoder, options.folder, chosen)
    if options.resume:
        training.resume()
    training.run()
    found = training.report()
    trained = f"{found['trained']} parameters and {found['layer']} of the layer"
    print(f"{trained}, {found['tokens']} tokens, {found['hours']:.2f} h; kept in {options.folder}")


def run_evaluate(options: argparse.Namespace, data) -> None:
    from ..bundle import Bundle
    from ..compare import PROGRAM
    from ..llara.words import words_of
    from ..metrics import as_table
    from . import evaluate
    from .record import Interpretations
    from .tune import check_encoder, digest_of, encoder_of

    bundle, words, place = Bundle(options.bundle), words_of(data, options.data), f"DATA/{data.name}{data.split()}"
    name = named_encoder(bundle, options.encoder)
    made, base = told_base(options.base, place)
    check_encoder(options.subject, digest_of(bundle, name))
    model = evaluate.Reads.load(options.subject, checkpoint_of(options.base), words, data.name)
    output = bundle.manifest["encoders"][name]["output"]
    rows, count, found = evaluate.judged(data, options.rows, options.most, bundle, encoder_of(bundle, name, data), output, model)
    about = f"--base {base} --bundle {options.bundle.name}" + (f" --encoder {name}" if options.encoder else "")
    chosen = f' --rows "{options.rows}"' if options.rows else ""
    chosen += f" --most {options.most}" if options.most != ROWS else ""
    parts = [*made, f"{PROGRAM} tune-interpreter {place} RUN {about}{model.options.command()}"]
    parts.append(f"{PROGRAM} evaluate-interpreter {place} RUN {about}{chosen}")
    subject, seed = model.options.described(), model.options.seed
    result = Interpretations(data.name, rows, count, " && ".join(parts), found, subject, seed)
    print(f"{data.name}: {rows}\n\n{as_table(found)}")
    if options.record:
        print(f"\nkept in {result.save(options.record)}")


def run_export(options: argparse.Namespace, data) -> None:
    from ..bundle import Bundle
    from ..compare import PROGRAM
    from ..llara.words import words_of
    from .export import export_interpreter

    words, base = words_of(data, options.data), checkpoint_of(options.base)
    encoder = named_encoder(Bundle(options.bundle), options.encoder)
    command = f"{PROGRAM} export-interpreter DATA RUN OUT --bundle BUNDLE --base BASE --encoder {encoder}"
    export_interpreter(options.subject, base, options.bundle, encoder, options.out, words, data.name, command)
    print(f"wrote {options.out}")


def named_encoder(bundle, name: str | None) -> str:
    """The one of that name, or the first."""
    encoders = bundle.manifest.get("encoders", {})
    found = name or next(iter(encoders), None)
    if found not in encoders:
        raise Problem(f"{bundle.folder} has no encoder" + (f" `{name}`" if name else ""))
    return found
