"""What the trainings of language models have in common: a run in a folder, step by step."""

import json
import time
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from .. import Problem
from ..data import Dataset

SAVED_EVERY = 240.0
"""Seconds from one checkpoint to the next, at most about."""


class Training:
    """A run in a folder: `options.json`, `last.pt` to resume from, and at its end `report.json`.

    Each step seeds itself, so that a run that is resumed goes on as if never stopped.
    """

    command: str
    """What starts it."""
    every: int
    """Steps from one entry of the history to the next."""
    counted = ("step", "tokens", "seconds", "history")
    """What is kept beside the weights."""

    def __init__(self, data: Dataset, folder: Path, options):
        self.data, self.folder, self.options = data, folder, options
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.history: list[dict] = []

    def advance(self) -> dict[str, float]:
        """One step; losses by their name."""
        raise NotImplementedError

    def judged(self) -> dict[str, float]:
        """How good it is by now."""
        return {}

    def noted(self) -> None:
        """After each entry of the history."""

    def is_done(self) -> bool:
        return self.step >= self.options.steps

    def finish(self) -> None:
        """Leaves what the run was for."""

    def report(self) -> dict:
        """What the run came to."""
        return {"data": self.data.name, "tokens": self.tokens, "history": self.history} | {
            "tokens_a_second": self.tokens / max(self.seconds, 1e-9),
            "hours": self.seconds / 3600,
        }

    def state(self) -> dict:
        """Weights and what trains them."""
        raise NotImplementedError

    def restore(self, state: dict) -> None:
        raise NotImplementedError

    def run(self) -> None:
        """Trains to the last step."""
        if not self.step and (self.folder / "last.pt").exists():
            raise Problem(f"{self.folder} already holds a run: name another folder, or resume it")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "options.json").write_text(json.dumps(about(self.options, self.data), indent=2) + "\n")
        losses, saved = {}, time.monotonic()
        progress = tqdm(total=self.options.steps, initial=self.step, unit="step", desc=self.command, mininterval=10)
        while not self.is_done():
            began = time.monotonic()
            for kind, loss in self.advance().items():
                losses.setdefault(kind, []).append(loss)
            self.seconds += time.monotonic() - began
            progress.update()
            if self.step % self.every == 0 or self.is_done():
                means = {kind: float(np.mean(found)) for kind, found in losses.items()}
                self.history.append({"step": self.step, "tokens": self.tokens, **means, **self.judged()})
                tqdm.write(", ".join(f"{kind} {value:.4g}" for kind, value in self.history[-1].items()))
                self.noted()
                losses = {}
            if self.is_done() or time.monotonic() - saved > SAVED_EVERY:
                self.save()
                saved = time.monotonic()
        progress.close()
        self.finish()
        (self.folder / "report.json").write_text(json.dumps(self.report(), indent=2) + "\n")

    def save(self) -> None:
        state = self.state() | {name: getattr(self, name) for name in self.counted}
        torch.save(state, self.folder / "last.pt.part")
        (self.folder / "last.pt.part").replace(self.folder / "last.pt")

    def resume(self) -> None:
        """Goes on from `last.pt`."""
        if not (self.folder / "last.pt").is_file():
            raise Problem(f"{self.folder / 'last.pt'}: no such checkpoint")
        if json.loads((self.folder / "options.json").read_text(encoding="utf-8"))["data"]["sha256"] != self.data.digest():
            raise Problem(f"{self.folder} was trained on other events: name those, or train anew")
        state = torch.load(self.folder / "last.pt", map_location="cpu", weights_only=True)
        self.restore(state)
        for name in self.counted:
            setattr(self, name, state[name])


def about(options, data: Dataset) -> dict:
    return asdict(options) | {"data": {"name": data.name, "sha256": data.digest()}}


def options_of(folder: Path, kind: type):
    """The options of a run, without what it says of its data."""
    try:
        found = json.loads((folder / "options.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(f"{folder} holds no run: it has no options.json") from None
    found.pop("data", None)
    if found.keys() != {field.name for field in fields(kind)}:
        raise Problem(f"{folder} holds another kind of run, or one of another version: its options are {', '.join(sorted(found))}")
    return kind(**found)
