"""Trains a network by the loss it states (`networks/network.py`), on the batches it asks for (`batches.py`).

Validation events choose the epoch that is kept, nothing else is learned from them.
"""

import json
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from . import Problem
from .batches import Draws, Windows
from .bundle import Bundle
from .data import Dataset
from .encoder import bundled_network
from .metrics import evaluate, figures
from .networks import MCRL, NETWORKS, Network, Shape, SummedRows, state_with_sums
from .options import Options


class Scorer:
    """Scores by a network, as the oneiro library does: cold items are passed over and never rank, unless others are
    `unranked`. Unless `seen` is `allow`, items of the history are no candidates; it is for who evaluates to leave them out.
    """

    def __init__(self, network: Network, cold: np.ndarray, seen: str = "allow", unranked: np.ndarray | None = None):
        self.network, self.cold, self.seen, self.draws = network.eval(), cold, seen, network.draws
        self.unranked = cold if unranked is None else unranked

    def __call__(self, histories: list[np.ndarray], seeds: np.ndarray | None = None) -> np.ndarray:
        """[B, N], or [D, B, N] where chance plays a part: one for each of D draws, by the seed of each history."""
        shape, device = self.network.shape, self.network.items.weight.device
        windows = [history[~self.cold[history]][-shape.window :] for history in histories]
        lengths = torch.tensor([len(window) for window in windows])
        padded = torch.full((len(windows), max(int(lengths.max()), 1)), shape.items)
        for row, window in enumerate(windows):
            padded[row, : len(window)] = torch.as_tensor(window.astype(np.int64))
        unranked = np.tile(self.unranked, (len(histories), 1))
        if self.seen == "exclude":
            for row, history in zip(unranked, histories):
                row[history] = True
        with torch.inference_mode():
            unranked = torch.as_tensor(unranked, device=device)
            scores = self.network.answers(padded.to(device), lengths.to(device), seeds, unranked)
            scores[..., self.unranked] = -torch.inf
        return scores.cpu().numpy()


class Training:
    """A run in a folder: `options.json`, `last.pt` to resume from, `best.pt`, `curve.png`."""

    def __init__(self, data: Dataset, folder: Path, options: Options, device: str):
        self.data, self.folder, self.options, self.device = data, folder, options, torch.device(device)
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise Problem("PyTorch finds no CUDA device here: train with --device cpu")
        torch.manual_seed(options.seed)
        self.network = built(options, data.items)
        self.network.start(options.scale)
        taken = begin(self.network, Path(options.start), data) if options.start else set()
        if options.attributes == "added":
            add_attributes(self.network, data, options.scale)
        fixed = {"nothing": set(), "rows": {"items.weight"}, "start": taken}[options.fixed]
        for name, weight in self.network.named_parameters():
            weight.requires_grad_(name not in fixed)
        self.network.to(self.device)
        self.averaged = deepcopy(self.network) if options.average else self.network
        self.steps = 0
        kind = type(self.network)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=options.learning_rate, fused=kind.draws_rows)
        self.batches = Draws(data, options) if kind.draws_rows else Windows(data, options, kind.slides)
        if options.fixed == "start":
            self.fix(taken)
        self.rows, self.absent, self.cold = data.validation_rows(), data.cold(), never_ranked(data, options)
        self.history: list[dict] = []

    def fix(self, taken: set[str]) -> None:
        """Computes the states once, of a network whose encoder learns no more."""
        own = [name for name, _ in self.network.named_parameters()]
        missing = [name for name in own if name not in taken and not name.startswith(self.network.beyond)]
        if missing or not self.network.beyond:
            lacking = f": it lacks {missing[0]}" if missing else ""
            raise Problem(f"--fixed start: --start brings no whole encoder that {self.options.network} goes on from{lacking}")

        @torch.no_grad()
        def encode(histories: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            return self.network.states(histories.to(self.device), lengths.to(self.device)).cpu()

        self.network.eval()
        self.batches.fix(self.data, self.options, encode)

    def run(self) -> None:
        """Trains until the epochs are used up or validation HR@10 has not risen for `patience` epochs."""
        if not self.history and (self.folder / "last.pt").exists():
            raise Problem(f"{self.folder} already holds a run: name another folder, or resume it")
        self.folder.mkdir(parents=True, exist_ok=True)
        about = asdict(self.options) | {"data": {"held_out": self.data.held_out, "sha256": self.data.digest()}}
        (self.folder / "options.json").write_text(json.dumps(about, indent=2) + "\n")
        progress = tqdm(total=self.options.epochs, initial=len(self.history), unit="epoch", desc="train")
        while len(self.history) < self.options.epochs and not self.stalled():
            self.history.append(self.epoch() | self.judged())
            if self.best() == len(self.history) - 1:
                self.save("best.pt")
            self.save("last.pt")
            progress.update()
            progress.set_postfix({name: f"{value:.4f}" for name, value in self.history[-1].items()})
        progress.close()

    def epoch(self) -> dict:
        generator = np.random.default_rng([self.options.seed, len(self.history)])
        torch.manual_seed(self.options.seed * 100_003 + len(self.history))
        cold = torch.as_tensor(self.absent, device=self.device)
        self.network.train()
        losses = []
        for batch in self.batches.epoch(generator):
            loss = self.network.loss(batch.to(self.device), cold, self.options.seen)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.average()
            losses.append(loss.item())
        return {"loss": float(np.mean(losses))}

    def judged(self) -> dict:
        """The figures of the epoch just trained; none in an epoch that is passed over."""
        epoch = len(self.history) + 1
        if epoch % self.options.validate_every and epoch < self.options.epochs:
            return {}
        found = figures(evaluate(Scorer(self.averaged, self.cold, self.options.seen), self.rows, self.options.seen), (10,))
        return {name: figure.mean for name, figure in found.items()}

    @torch.no_grad()
    def average(self) -> None:
        """Moves the average towards the weights: quickly at first, while they are still far from good."""
        self.steps += 1
        if self.averaged is not self.network:
            decay = min(self.options.average, self.steps / (self.steps + 10))
            for kept, weight in zip(self.averaged.parameters(), self.network.parameters()):
                kept.lerp_(weight, 1 - decay)

    def best(self) -> int:
        """The epoch with the highest validation HR@10, the earlier of two; one passed over only while there is no other."""
        return max(range(len(self.history)), key=lambda epoch: (self.history[epoch].get("HR@10", -1.0), -epoch))

    def stalled(self) -> bool:
        return bool(self.history) and len(self.history) - 1 - self.best() >= self.options.patience

    def save(self, name: str) -> None:
        state = {"network": state_with_sums(self.averaged), "history": self.history}
        if name == "last.pt":  # what going on needs
            state |= {"network": self.averaged.state_dict(), "latest": self.network.state_dict()}
            state |= {"optimizer": self.optimizer.state_dict(), "steps": self.steps}
        torch.save(state, self.folder / f"{name}.part")
        (self.folder / f"{name}.part").replace(self.folder / name)

    def resume(self) -> None:
        """Goes on from `last.pt` as if never stopped: each epoch seeds itself."""
        state = _load(self.folder / "last.pt", self.data)
        self.averaged.load_state_dict(state["network"])
        self.network.load_state_dict(state["latest"])
        self.steps = state["steps"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.history = state["history"]


def kept_epoch(folder: Path, data: Dataset) -> int:
    """Which epoch a run's best network is from, counted from 1."""
    return len(_load(folder / "best.pt", data)["history"])


def built(options: Options, items: int) -> Network:
    """The untrained network that the options describe."""
    shape = Shape(items, options.width, options.window, options.blocks, options.head == "separate")
    return NETWORKS[options.network].chosen(shape, options)


def begin(network: Network, folder: Path, data: Dataset) -> set[str]:
    """Gives the network those weights of a run or a bundle that have the name and the shape of its own; item rows at least.
    The names of all that it took.
    """
    if (folder / "manifest.json").exists():
        bundle = Bundle(folder)
        if bundle.strings("ids") != data.catalog.ids:
            raise Problem(f"{folder} has other items than {data.name}")
        found = bundled_network(bundle).state_dict()
    else:
        found = _load(folder / "best.pt", data)["network"]
    own = network.state_dict()
    fitting = {name: weight for name, weight in found.items() if name in own and own[name].shape == weight.shape}
    if "items.weight" not in fitting:
        raise Problem(f"{folder} has item rows {found['items.weight'].shape[1]} wide, the network's are {network.shape.width}")
    network.load_state_dict(fitting, strict=False)
    return set(fitting)


def add_attributes(network: Network, data: Dataset, scale: float) -> None:
    """Makes the network's item rows sums, to be trained."""
    if network.head is not None:
        raise Problem("attributes can be added to the rows of a shared head only: train with --head shared")
    values = data.catalog.attribute_values()
    if not values.size:
        raise Problem(f"no attribute of the items of {data.name} is known: train with --attributes unused")
    for one in network.copies():
        one.items = SummedRows(one.items, values, scale)


def never_ranked(data: Dataset, options: Options) -> np.ndarray:
    """The items of which training says nothing; bool [N]."""
    return data.cold(options.attributes == "added")


def load_run(folder: Path, data: Dataset, by: str | None = None, blend: float | None = None) -> tuple[Network, Options]:
    """The best network of a run on these data; of MCRL one that ranks `by` what is named, not by what it was trained with."""
    options = run_options(folder)
    network = built(options, data.items)
    network.load_state_dict(_load(folder / "best.pt", data)["network"])
    if by or blend is not None:
        if not isinstance(network, MCRL) or not network.valued:
            raise Problem(f"{folder} has learned no values: it ranks in one way only")
        network.by, network.weight = by or options.by, options.blend if blend is None else blend
    return network.eval(), options


def run_options(folder: Path) -> Options:
    about = _about(folder)
    about.pop("data", None)
    return replace(Options(), **about)


def _about(folder: Path) -> dict:
    try:
        return json.loads((folder / "options.json").read_text())
    except FileNotFoundError:
        raise Problem(f"{folder} holds no run: it has no options.json") from None


def _load(path: Path, data: Dataset) -> dict:
    if not path.is_file():
        raise Problem(f"{path}: no such checkpoint")
    state = torch.load(path, map_location="cpu", weights_only=True)
    trained = len(next(rows for name, rows in state["network"].items() if name.startswith("items."))) - 1
    if trained != data.items:
        raise Problem(f"{path.parent} was trained on {trained} items, the data have {data.items}")
    of_run = _about(path.parent).get("data")
    if of_run is None:
        raise Problem(f"{path.parent} is from an older version and does not say which events it was trained on: train anew")
    if of_run["sha256"] != data.digest():
        split = "" if of_run["held_out"] is None else f" (--held-out {of_run['held_out']})"
        raise Problem(f"{path.parent} was trained on other events or with another split{split}: name those, or train anew")
    return state
