"""`python -m oneiro_models COMMAND`."""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from . import Problem, __version__

EPILOG = """\
from data to a bundle:
  python -m oneiro_models train events.csv runs/mine
  python -m oneiro_models export events.csv runs/mine bundles/mine
"""

HELP = {
    "window": "items of a history that are looked at",
    "width": "width of items and states",
    "blocks": "attention blocks",
    "dropout": "share of values dropped in training",
    "half_life": "days in which an event's weight halves; 0: all weigh the same",
    "seen": "exclude: items a person already had take no part; allow: they do",
    "learning_rate": "of Adam",
    "scale": "standard deviation of untrained item rows and positions",
    "batch": "windows a step",
    "epochs": "at most so many",
    "patience": "stop after so many epochs without a better validation HR@10",
    "seed": "the same seed and versions give the same network on one machine",
}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m oneiro_models",
        description="Trains recommenders and writes oneiro bundles.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"oneiro_models {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run, help: str, data: bool = False) -> argparse.ArgumentParser:
        new = commands.add_parser(name, help=help, description=help, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        new.set_defaults(run=run)
        if data:
            new.add_argument("data", type=Path, help="CSV or Parquet file of user, item, time; or a MovieTweetings folder")
            new.add_argument("--titles", type=Path, help="CSV or Parquet file of item, title")
            new.add_argument("--held-out", type=float, default=0.1, help="share of the latest events kept for validation")
        return new

    train = command("train", run_train, "train a SASRec", data=True)
    train.add_argument("folder", type=Path, help="folder of the run: checkpoints and learning curve")
    train.add_argument("--resume", action="store_true", help="go on where the run stopped, with its own options")
    train.add_argument("--device", default="cpu", help="cpu or cuda")
    _add_training_options(train)

    evaluate = command("evaluate", run_evaluate, "compare a run or a bundle with the baselines", data=True)
    evaluate.add_argument("subject", type=Path, help="folder of a run or of a bundle")

    baselines = command("baselines", run_baselines, "evaluate popularity, Markov and ItemKNN", data=True)
    baselines.add_argument("--seen", default="exclude", choices=["exclude", "allow"], help=HELP["seen"])

    export = command("export", run_export, "write a run as a bundle", data=True)
    export.add_argument("folder", type=Path, help="folder of the run")
    export.add_argument("out", type=Path, help="folder of the bundle")
    export.add_argument("--name", help="the bundle's name; its folder's name if not given")
    export.add_argument("--description", default="What people chose next")

    events = command("events", run_events, "write the events as CSV for `oneiro eval`", data=True)
    events.add_argument("out", type=Path, help="a .csv file: user, item (the bundle's ids), time, split (train or val)")

    tiny = command("tiny", run_tiny, "write the tests' bundle models/tiny")
    tiny.add_argument("out", type=Path, help="folder of the bundle")

    golden = command("golden", run_golden, "write golden vectors of a bundle's encoder")
    golden.add_argument("bundle", type=Path, help="folder of the bundle")
    golden.add_argument("out", type=Path, help="a .safetensors file")
    golden.add_argument("--seed", type=int, default=2013, help="of the synthetic histories")

    titles = command("title-keys", run_title_keys, "write golden title keys")
    titles.add_argument("out", type=Path, help="a .json file")
    return top


def _add_training_options(train: argparse.ArgumentParser) -> None:
    from .options import Options

    for field in fields(Options):
        choices = ["exclude", "allow"] if field.name == "seen" else None
        flag = "--" + field.name.replace("_", "-")
        train.add_argument(flag, type=field.type, default=field.default, choices=choices, help=HELP[field.name])


def run_train(options) -> None:
    from .curve import draw
    from .options import Options
    from .train import Training, run_options

    chosen = Options(**{field.name: getattr(options, field.name) for field in fields(Options)})
    if options.resume:
        chosen = run_options(options.folder)
    training = Training(_data(options), options.folder, chosen, options.device)
    if options.resume:
        training.resume()
    training.run()
    best = training.best()
    draw(training.history, best, options.folder / "curve.png")
    print(f"epoch {best + 1}: HR@10 {training.history[best]['HR@10']:.4f}, kept in {options.folder / 'best.pt'}")


def run_evaluate(options) -> None:
    from .compare import compare
    from .metrics import as_table
    from .train import Scorer, load_run

    data = _data(options)
    if (options.subject / "manifest.json").exists():
        from .bundle import Bundle
        from .encoder import bundled_network

        bundle = Bundle(options.subject)
        network, seen = bundled_network(bundle), bundle.manifest["seen"]
        if network.shape.items != data.items:
            raise Problem(f"{options.subject} has {network.shape.items} items, the data have {data.items}")
    else:
        network, chosen = load_run(options.subject, data.items)
        seen = chosen.seen
    print(as_table(compare(data, {"SASRec": Scorer(network, data.cold())}, seen)))


def run_baselines(options) -> None:
    from .compare import compare
    from .metrics import as_table

    print(as_table(compare(_data(options), {}, options.seen)))


def run_export(options) -> None:
    from .export import export

    name = options.name or options.out.resolve().name
    export(_data(options), options.folder, options.out, name, options.description)
    print(f"wrote {options.out}")


def run_events(options) -> None:
    from .data import write_events

    write_events(_data(options), options.out)
    print(f"wrote {options.out}")


def run_tiny(options) -> None:
    from .tiny import write_tiny

    write_tiny(options.out)


def run_golden(options) -> None:
    from .golden import golden

    golden(options.bundle, options.out, options.seed)


def run_title_keys(options) -> None:
    from .golden import golden_titles

    golden_titles(options.out)


def _data(options):
    from .data import read

    return read(options.data, options.titles, options.held_out)


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
