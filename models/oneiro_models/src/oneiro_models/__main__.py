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
    "network": "what is trained",
    "head": "shared: items are scored by the rows that are read; separate: by rows of their own with a bias",
    "attributes": "added: an item's row is its own plus one for each value of its attributes, so that new items rank too",
    "window": "items of a history that are looked at",
    "width": "width of items and states",
    "blocks": "blocks of the network; layers of GRU4Rec",
    "dropout": "share of values dropped in training",
    "half_life": "days in which an event's weight halves; 0: all weigh the same, as they do in data without times",
    "seen": "exclude: items a person already had take no part; allow: they do; as the data set's protocol says unless given",
    "learning_rate": "of Adam",
    "average": "decay, step by step, of the moving average of the weights that is judged and kept; 0: the last weights are",
    "scale": "standard deviation of untrained item rows and positions",
    "batch": "windows a step",
    "epochs": "at most so many",
    "patience": "stop after so many epochs without a better validation HR@10",
    "validate_every": "epochs from one validation to the next",
    "start": "folder of another run on the same events, or of a bundle of the same items: its weights are taken where they fit",
    "fixed": "what learns no more: the item rows, or all that --start brought",
    "schedule": "of dreamrec: how noise grows with the steps",
    "diffusion_steps": "of dreamrec: steps from noise to item",
    "denoiser": "of dreamrec: mlp1 is one affine layer, whose chain collapses; mlp2 has a hidden layer",
    "unconditional": "of dreamrec: share of histories hidden from the denoiser, so that it can be guided",
    "contrast": "of dreamrec: weight of a full softmax over the item predicted from noise and the history, beside the squared error; 0: as published",
    "guidance": "of dreamrec: strength w of the guidance at validation and in the bundle",
    "draws": "of dreamrec: answers to each history at validation, whose figures are averaged",
    "backbone": "of mcrl: the network below its heads; give --blocks 6 with nextitnet",
    "by": "of mcrl: what ranks; blend: the two, standardised over the best by logits, with the weight --blend of Q",
    "blend": "of mcrl: weight of Q in a blend",
    "value": "of mcrl: weight of the value term; 0: it is left out, as with the next three terms",
    "discount": "of mcrl: what a reward is worth one event later",
    "negatives": "of mcrl: so many items that were not chosen are learned to be worth nothing by themselves (SNQN)",
    "conservative": "of mcrl: weight of the conservative term",
    "temperature": "of mcrl: of the conservative term",
    "reward": "of mcrl: weight of the contrastive reward term",
    "transition": "of mcrl: weight of the contrastive transition term",
    "sharpness": "of mcrl: temperature of both contrastive terms",
    "seed": "the same seed and versions give the same network on one machine",
}


def parser() -> argparse.ArgumentParser:
    from .bigrec import commands as bigrec
    from .explain import commands as explain
    from .llara import commands as llara
    from .recinterpreter import commands as recinterpreter
    from .options import HELD_OUT

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
            new.add_argument("data", type=Path, help="CSV or Parquet file of user, item, time; or the folder of a public set")
            new.add_argument("--titles", type=Path, help="CSV or Parquet file of item, title")
            new.add_argument("--held-out", type=float, default=HELD_OUT, help="share of the latest events kept for validation")
        return new

    train = command("train", run_train, "train a network", data=True)
    train.add_argument("folder", type=Path, help="folder of the run: checkpoints and learning curve")
    train.add_argument("--resume", action="store_true", help="go on where the run stopped, with its own options")
    train.add_argument("--device", default="cpu", help="cpu or cuda")
    _add_training_options(train)

    evaluate = command("evaluate", run_evaluate, "compare a run or a bundle with the baselines", data=True)
    evaluate.add_argument("subject", type=Path, help="folder of a run or of a bundle")

    agree = command("agree", run_agree, "compare `oneiro eval` with PyTorch, rank by rank, and measure smaller item tables", data=True)
    agree.add_argument("bundle", type=Path, help="folder of the bundle")
    agree.add_argument("--oneiro", default="oneiro", help="the command oneiro")

    baselines = command("baselines", run_baselines, "evaluate popularity, Markov and ItemKNN", data=True)
    for new in (evaluate, agree, baselines):
        new.add_argument("--rows", help="which of the data set's kinds of rows; the first if not given")
        new.add_argument("--seen", choices=["exclude", "allow"], help=HELP["seen"])
        new.add_argument("--record", type=Path, help="folder that the result is kept in, for `results`")

    offline = command("offline", run_offline, "estimate from logged recommendations what MCRL's policy would have earned")
    offline.add_argument("data", type=Path, help="folder of the Open Bandit Dataset")
    offline.add_argument("folder", type=Path, help="folder of the run: the network is trained on the earlier part of the log")
    offline.add_argument("--policy", choices=("random", "bts"), default="random", help="which policy's log")
    offline.add_argument("--campaign", choices=("men", "women"), default="men", help="which campaign")
    offline.add_argument("--record", type=Path, help="folder that the estimate is kept in, for `results`; the run's if not given")
    offline.add_argument("--share", type=float, default=0.5, help="of the log to learn from, the earliest")
    offline.add_argument("--device", default="cpu", help="cpu or cuda")
    _add_training_options(offline, ("network", "seen"))

    results = command("results", run_results, "write the page of all records")
    results.add_argument("records", type=Path, help="folder of records; those in folders below it count too")
    results.add_argument("out", type=Path, help="a Markdown file")

    export = command("export", run_export, "write runs as a bundle", data=True)
    export.add_argument("folder", type=Path, help="folder of the run, or of a bundle of the same items whose encoder is taken")
    export.add_argument("out", type=Path, help="folder of the bundle")
    more = "folder of another run, whose network the bundle holds too; the recipe goes by the first (may be repeated)"
    export.add_argument("--with", dest="others", type=Path, action="append", default=[], metavar="FOLDER", help=more)
    export.add_argument("--name", help="the bundle's name; its folder's name if not given")
    export.add_argument("--description", default="What people chose next")
    export.add_argument("--dtype", choices=("f32", "f16", "i8"), default="f32", help="how the rows that are scored are stored")
    export.add_argument("--exact", action="store_true", help="with i8: keep the f32 rows beside them and rank by those")

    for new in (evaluate, export):
        new.add_argument("--by", choices=CHOICES["by"], help="what ranks in a run of mcrl; what it was trained with if not given")
        new.add_argument("--blend", type=float, help="weight of Q in a blend, likewise")

    convert = command("convert", run_convert, "write published weights of LLaRA's authors as a bundle")
    convert.add_argument("weights", type=Path, help="a .safetensors file beside the models.json that describes it")
    convert.add_argument("data", type=Path, help="folder of the public set whose items they score")
    convert.add_argument("out", type=Path, help="folder of the bundle")

    dreamrec = command("convert-dreamrec", run_convert_dreamrec, "write a checkpoint of DreamRec's own code as a bundle")
    dreamrec.add_argument("checkpoint", type=Path, help="the state dict of its Tenc: a PyTorch file or .safetensors")
    dreamrec.add_argument("data", type=Path, help="folder of the public set whose items they score")
    dreamrec.add_argument("out", type=Path, help="folder of the bundle")
    dreamrec.add_argument("--schedule", choices=CHOICES["schedule"], default="exp", help="beta_sche of the training")
    dreamrec.add_argument("--diffusion-steps", type=int, default=200, help="timesteps of the training")
    dreamrec.add_argument("--guidance", type=float, default=2.0, help="w")

    recbole = command("convert-recbole", run_convert_recbole, "write a SASRec or GRU4Rec trained with RecBole as a bundle")
    recbole.add_argument("checkpoint", type=Path, help="a .pth file that RecBole saved")
    recbole.add_argument("out", type=Path, help="folder of the bundle")
    recbole.add_argument("--tokens", type=Path, help="text file of item ids in RecBole's order, one a line, without its [PAD]")

    llm = command("export-llm", run_export_llm, "write a Llama or Qwen2 checkpoint of Hugging Face as the language model of a bundle")
    llm.add_argument("checkpoint", type=Path, help="folder with config.json, model.safetensors or its shards, tokenizer.json")
    llm.add_argument("out", type=Path, help="folder of the bundle")
    source = llm.add_mutually_exclusive_group(required=True)
    source.add_argument("--bundle", type=Path, help="folder of a bundle, all of which is taken over")
    source.add_argument("--titles", type=Path, help="CSV or Parquet file of item, title, for a bundle of nothing else")
    llm.add_argument("--name", help="of a bundle made of titles; its folder's name if not given")
    llm.add_argument("--description", default="Items by their titles, and a language model", help="likewise")
    llm.add_argument("--model", default="lm", help="the language model's name in the bundle")
    llm.add_argument("--context", type=int, help="the most tokens; as many as the checkpoint allows if not given")
    llm.add_argument("--packed", type=int, help="the most tokens of one run, trees of titles included; 1024 more if not given")
    llm.add_argument("--end-of-title", metavar="TOKEN", help="the token that ends a title, as the tokenizer calls it")
    llm.add_argument("--lora", type=Path, help="folder of a PEFT adapter that is merged into the weights")
    kept = "a PEFT adapter that stays exchangeable, and what it is called; repeat it for several"
    llm.add_argument("--adapter", action="append", default=[], metavar="NAME=FOLDER", help=kept)
    llm.add_argument("--precision", choices=CHOICES["precision"], default="f32", help="int8 ranks fastest, int4 writes fastest")
    llm.add_argument("--head-precision", choices=CHOICES["precision"], help="of the head; the same if not given")
    llm.add_argument("--block", type=int, choices=(32, 128), default=32, help="of int4: numbers that share a scale")
    llm.add_argument("--accuracy", type=int, choices=(1, 2, 4), default=4, help="4 rounds what is multiplied to 8 bits, too; 2, of int8, to 16; 1, of int4, does not")
    llm.add_argument("--perplexity", type=Path, metavar="FILE", help="a text whose perplexity is measured before and after")

    llara.add(command, _data)
    bigrec.add(command, _data)
    recinterpreter.add(command, _data)
    explain.add(command, _data)

    optimise = command("optimise", run_optimise, "optimise the graphs of a bundle ahead of time, so that it opens sooner")
    optimise.add_argument("bundle", type=Path, help="folder of the bundle, which is changed in place")

    events = command("events", run_events, "write the validation rows as CSV for `oneiro eval`", data=True)
    events.add_argument("out", type=Path, help="a .csv file: user, item (the bundle's ids), time, split (train or val)")
    events.add_argument("--rows", help="which of the data set's kinds of rows; the first if not given")

    picture = command("picture", run_picture, "draw how a bundle's oracle comes to its dream")
    picture.add_argument("bundle", type=Path, help="folder of the bundle")
    picture.add_argument("out", type=Path, help="a .png file")
    picture.add_argument("--seen", action="append", default=[], metavar="ID", help="an item of the history; the oldest first")
    picture.add_argument("--oracle", help="the bundle's first if not given")
    picture.add_argument("--seed", type=int, default=0, help="of the noise")

    tiny = command("tiny", run_tiny, "write the tests' bundle models/tiny")
    tiny.add_argument("out", type=Path, help="folder of the bundle")

    tiny_oracle = command("tiny-oracle", run_tiny_oracle, "write the tests' bundle models/tiny-oracle")
    tiny_oracle.add_argument("out", type=Path, help="folder of the bundle")

    tiny_values = command("tiny-values", run_tiny_values, "write the tests' bundle models/tiny-values")
    tiny_values.add_argument("out", type=Path, help="folder of the bundle")

    tiny_lm = command("tiny-lm", run_tiny_lm, "write the tests' bundle models/tiny-lm")
    tiny_lm.add_argument("out", type=Path, help="folder of the bundle")

    tiny_lm_int = command("tiny-lm-int", run_tiny_lm_int, "write the tests' bundle models/tiny-lm-int")
    tiny_lm_int.add_argument("out", type=Path, help="folder of the bundle")

    golden_lm = command("golden-lm", run_golden_lm, "write golden vectors of a bundle's language model; needs transformers")
    golden_lm.add_argument("bundle", type=Path, help="folder of the bundle")
    golden_lm.add_argument("out", type=Path, help="a .safetensors file")
    golden_lm.add_argument("--logits", action="append", metavar="NAME", help="only the logits, of these language models")
    asked = "only what the first prompt says of the first encoder's best, after so many made-up histories"
    golden_lm.add_argument("--histories", type=int, metavar="COUNT", help=asked)

    golden = command("golden", run_golden, "write golden vectors of a bundle's encoder")
    golden.add_argument("bundle", type=Path, help="folder of the bundle")
    oracles = command("golden-oracles", run_golden_oracles, "write golden vectors of a bundle's oracles")
    oracles.add_argument("bundle", type=Path, help="folder of the bundle")
    for new in (golden, oracles):
        new.add_argument("out", type=Path, help="a .safetensors file")
        new.add_argument("--seed", type=int, default=2013, help="of the synthetic histories")

    titles = command("title-keys", run_title_keys, "write golden title keys")
    titles.add_argument("out", type=Path, help="a .json file")
    return top


CHOICES = {
    "seen": ["exclude", "allow"],
    "head": ["shared", "separate"],
    "attributes": ["unused", "added"],
    "fixed": ["nothing", "rows", "start"],
    "schedule": ["linear", "exp", "cosine", "sqrt"],
    "denoiser": ["mlp1", "mlp2"],
    "backbone": ["sasrec", "gru4rec", "caser", "nextitnet"],
    "by": ["logits", "q", "blend"],
    "precision": ["f32", "f16", "int8", "int4"],
}


def _add_training_options(train: argparse.ArgumentParser, fixed: tuple[str, ...] = ()) -> None:
    """Options that are not given stay unset: their defaults depend on the network and the data; `fixed` ones cannot be."""
    from .options import DEFAULTS, Options

    for field in fields(Options):
        if field.name in fixed:
            continue
        choices = list(DEFAULTS) if field.name == "network" else CHOICES.get(field.name)
        others = [f"{name}: {own[field.name]}" for name, own in DEFAULTS.items() if field.name in own]
        help = f"{HELP[field.name]} (default: {'; '.join([str(field.default), *others])})"
        flag = "--" + field.name.replace("_", "-")
        train.add_argument(flag, type=field.type, default=argparse.SUPPRESS, choices=choices, help=help)


def run_train(options) -> None:
    from .compare import evaluated
    from .curve import draw
    from .options import Options
    from .train import Training, run_options

    data = _data(options)
    chosen = run_options(options.folder) if options.resume else Options.chosen(**{"seen": data.seen} | _given(options))
    training = Training(data, options.folder, chosen, options.device)
    if options.resume:
        training.resume()
    training.run()
    best = training.best()
    draw(training.history, best, options.folder / "curve.png")
    print(f"epoch {best + 1}: HR@10 {training.history[best]['HR@10']:.4f}, kept in {options.folder / 'best.pt'}")
    evaluated(data, options.folder).save(options.folder)


def _given(options) -> dict:
    """The training options that the command line names."""
    from .options import Options

    return {field.name: getattr(options, field.name) for field in fields(Options) if hasattr(options, field.name)}


def run_offline(options) -> None:
    from .data import read_bandit
    from .offline import estimated, shown
    from .options import Options

    chosen = Options.chosen(**{"network": "mcrl", "seen": "allow", "window": 5, "width": 16, "epochs": 20} | _given(options))
    log = read_bandit(options.data, options.policy, options.campaign)
    found = estimated(log, options.folder, chosen, options.share, options.device)
    print(f"{found.count} recommendations, logged by {found.policy}: clicks per thousand\n")
    print(shown(found))
    print(f"\nkept in {found.save(options.record or options.folder)}")


def run_evaluate(options) -> None:
    from .compare import evaluated

    found = evaluated(_data(options), options.subject, options.rows, options.seen, options.by, options.blend)
    _shown(found, options.record)


def run_agree(options) -> None:
    from .agree import agree

    found = agree(_data(options), options.bundle, options.oneiro, options.rows, options.seen)
    for one in found:
        print(f"{one.encoder}: {one.count} rows, {len(one.close)} ranks apart by rounding, {len(one.apart)} by more")
        for row, expected, rank in one.close + one.apart:
            print(f"  row {row}: {rank}, PyTorch {expected}")
        for kind, measured in one.figures.items():
            print(f"  {kind}: " + ", ".join(f"{name} {value:.4f}" for name, value in measured.items()))
        if options.record:
            print(f"  kept in {one.save(options.record)}")
    problems = [problem for one in found if (problem := one.problem())]
    if problems:
        raise Problem("; ".join(problems))


def run_baselines(options) -> None:
    from .compare import evaluated

    _shown(evaluated(_data(options), None, options.rows, options.seen), options.record)


def _shown(result, record: Path | None) -> None:
    from .metrics import as_table

    print(f"{result.data_set}: {result.count} rows, {result.rows}\n")
    print(as_table(result.figures))
    if record:
        print(f"\nkept in {result.save(record)}")


def run_results(options) -> None:
    from .results import write

    print(f"{write(options.records, options.out)} results in {options.out}")


def run_export(options) -> None:
    from .export import export

    name = options.name or options.out.resolve().name
    stored = options.dtype, options.exact, options.by, options.blend
    export(_data(options), [options.folder, *options.others], options.out, name, options.description, *stored)
    print(f"wrote {options.out}")


def run_convert(options) -> None:
    from .convert import convert
    from .data import read

    convert(options.weights, read(options.data), options.out)
    print(f"wrote {options.out}")


def run_convert_dreamrec(options) -> None:
    from .convert import convert_dreamrec
    from .data import read
    from .diffusion import Schedule

    schedule = Schedule.of(options.schedule, options.diffusion_steps)
    trained = f"--schedule {options.schedule} --diffusion-steps {options.diffusion_steps} --guidance {options.guidance}"
    convert_dreamrec(options.checkpoint, read(options.data), options.out, schedule, options.guidance, trained)
    print(f"wrote {options.out}")


def run_convert_recbole(options) -> None:
    from .recbole import convert_recbole

    convert_recbole(options.checkpoint, options.out, options.tokens)
    print(f"wrote {options.out}")


def run_export_llm(options) -> None:
    from .checkpoint import Checkpoint
    from .export_llm import Written, export_llm, of_bundle, of_titles
    from .lora import Adapter

    checkpoint = Checkpoint(options.checkpoint, Adapter(options.lora) if options.lora else None)
    if options.bundle:
        base, titles = of_bundle(options.out, options.bundle)
    else:
        name = options.name or options.out.resolve().name
        base, titles = of_titles(options.out, options.titles, name, options.description)
    told = options.head_precision, options.block, options.accuracy
    written = Written(options.model, options.context, options.packed, options.end_of_title, options.precision, *told)
    source = "--bundle BUNDLE" if options.bundle else "--titles TITLES"
    source += "".join([" --lora LORA" * bool(options.lora), " --adapter NAME=ADAPTER" * len(options.adapter)]) + written.command() + (" --perplexity TEXT" if options.perplexity else "")
    command = f"python -m oneiro_models export-llm CHECKPOINT OUT {source}"
    named = [adapter.partition("=") for adapter in options.adapter]
    if wrong := next((adapter for adapter, (name, _, folder) in zip(options.adapter, named) if not (name and folder)), None):
        raise Problem(f"--adapter takes NAME=FOLDER, not `{wrong}`")
    adapters = {name: Adapter(Path(folder)) for name, _, folder in named}
    export_llm(checkpoint, base, titles, written, command, options.perplexity, print, adapters)
    print(f"wrote {options.out}")


def run_events(options) -> None:
    from .data import write_events

    write_events(_data(options), options.out, options.rows)
    print(f"wrote {options.out}")


def run_picture(options) -> None:
    from .picture import draw_dream

    nearest = draw_dream(options.bundle, options.out, options.seen, options.oracle, options.seed)
    print(f"nearest to the dream in {options.out}: {', '.join(nearest)}")


def run_tiny(options) -> None:
    from .tiny import write_tiny

    write_tiny(options.out)


def run_tiny_oracle(options) -> None:
    from .tiny import write_tiny_oracle

    write_tiny_oracle(options.out)


def run_tiny_values(options) -> None:
    from .tiny import write_tiny_values

    write_tiny_values(options.out)


def run_tiny_lm(options) -> None:
    from .tiny_lm import write_tiny_lm

    write_tiny_lm(options.out)


def run_tiny_lm_int(options) -> None:
    from .tiny_lm_int import write_tiny_lm_int

    write_tiny_lm_int(options.out)


def run_golden_lm(options) -> None:
    from .golden_lm import golden_lm, golden_logits, golden_taste

    if options.logits:
        golden_logits(options.bundle, options.out, options.logits)
    elif options.histories:
        golden_taste(options.bundle, options.out, options.histories)
    else:
        golden_lm(options.bundle, options.out)


def run_optimise(options) -> None:
    from .optimise import optimise

    for graph, change in optimise(options.bundle).items():
        print(f"{graph}: {change}")


def run_golden(options) -> None:
    from .golden import golden

    golden(options.bundle, options.out, options.seed)


def run_golden_oracles(options) -> None:
    from .golden import golden_oracles

    golden_oracles(options.bundle, options.out, options.seed)


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
