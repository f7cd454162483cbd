"""Stage 1: oneiro-lm learns the next token of histories written as titles (`documents.py`).

AdamW, the learning rate of `schedule.py`. What validation rows are used for is to choose which of the models on the way is kept,
by the perplexity of the next title.
"""

import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from .. import Problem
from ..data import Dataset
from .documents import Documents
from .heldout import HeldOut, baselines
from .model import labelled_loss, save_checkpoint, untrained
from .options import Pretraining
from .schedule import generator_of, learning_rate
from .tokenizer import PAD, Pieces, train_tokenizer
from .words import Words, histories

BETAS = (0.9, 0.95)
CLIPPED = 1.0
"""The longest gradient."""
SAVED_EVERY = 240.0
"""Seconds from one checkpoint to the next, at most about."""


class Stage1:
    """A run in a folder: `options.json`, `last.pt` to resume from, and the best model so far in `checkpoint`."""

    def __init__(self, data: Dataset, words: Words, folder: Path, options: Pretraining):
        self.data, self.folder, self.options = data, folder, options
        torch.manual_seed(options.seed)
        self.tokenizer = train_tokenizer(words, data.train.counts(data.items), options.vocabulary)
        size = -(-self.tokenizer.get_vocab_size() // 32) * 32
        sizes = (options.width, options.inner, options.layers, options.heads, options.kv_heads, options.context)
        self.model = untrained(size, *sizes)
        self.pieces = Pieces.of(self.tokenizer, words)
        self.documents = Documents(self.pieces, histories(data), data.items, options.prompts)
        self.held_out = HeldOut.of(data, self.pieces)
        matrices = [weight for weight in self.model.parameters() if weight.ndim > 1]
        vectors = [weight for weight in self.model.parameters() if weight.ndim == 1]
        groups = [{"params": matrices, "weight_decay": options.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, betas=BETAS, fused=True)
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.history: list[dict] = []

    def run(self) -> None:
        """Trains to the last step."""
        if not self.step and (self.folder / "last.pt").exists():
            raise Problem(f"{self.folder} already holds a run: name another folder, or resume it")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "options.json").write_text(json.dumps(about(self.options, self.data), indent=2) + "\n")
        steps, losses, saved = self.options.steps, [], time.monotonic()
        progress = tqdm(total=steps, initial=self.step, unit="step", desc="train-lm", mininterval=10)
        while self.step < steps:
            began = time.monotonic()
            losses.append(self.advance())
            self.seconds += time.monotonic() - began
            progress.update()
            due = self.step % self.options.validate_every == 0 or self.step == steps
            if due:
                self.validate(float(np.mean(losses)))
                losses = []
            if due or time.monotonic() - saved > SAVED_EVERY:
                self.save()
                saved = time.monotonic()
        progress.close()
        (self.folder / "report.json").write_text(json.dumps(self.report(), indent=2) + "\n")

    def advance(self) -> float:
        """One step; the mean loss of a token."""
        options = self.options
        packed = self.documents.batch(generator_of(options.seed, self.step), options.rows, options.length)
        torch.manual_seed(options.seed * 100_003 + self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, options.steps, options.learning_rate)
        self.model.train()
        rows = nn.functional.dropout(self.model.model.embed_tokens(packed.tokens), options.dropout)
        loss, count = labelled_loss(self.model, rows, packed.labels, packed.attends, packed.positions)
        self.optimizer.zero_grad()
        (loss / count).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIPPED)
        self.optimizer.step()
        self.step += 1
        self.tokens += int((packed.tokens != PAD).sum())
        return loss.item() / count

    def validate(self, loss: float) -> None:
        found = {"step": self.step, "tokens": self.tokens, "loss": loss, **self.held_out.judged(self.model)}
        self.history.append(found)
        tqdm.write(", ".join(f"{name} {value:.4g}" for name, value in found.items()))
        if found["perplexity"] == min(one["perplexity"] for one in self.history):
            save_checkpoint(self.model, self.tokenizer, self.folder / "checkpoint")

    def report(self) -> dict:
        """What the run came to."""
        best = min(self.history, key=lambda one: one["perplexity"])
        return {
            "data": self.data.name,
            "parameters": sum(weight.numel() for weight in self.model.parameters()),
            "vocabulary": self.tokenizer.get_vocab_size(),
            "tokens": self.tokens,
            "tokens_a_second": self.tokens / self.seconds,
            "hours": self.seconds / 3600,
            "kept": best,
            "baselines": baselines(self.data, self.held_out),
            "history": self.history,
        }

    def save(self) -> None:
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "history": self.history}
        state |= {"step": self.step, "tokens": self.tokens, "seconds": self.seconds}
        torch.save(state, self.folder / "last.pt.part")
        (self.folder / "last.pt.part").replace(self.folder / "last.pt")

    def resume(self) -> None:
        """Goes on from `last.pt` as if never stopped: each step seeds itself."""
        state = loaded(self.folder, self.data)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.tokens, self.seconds, self.history = (state[name] for name in ("step", "tokens", "seconds", "history"))


def about(options, data: Dataset) -> dict:
    return asdict(options) | {"data": {"name": data.name, "sha256": data.digest()}}


def options_of(folder: Path, kind: type):
    """The options of a run, without what it says of its data."""
    try:
        found = json.loads((folder / "options.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(f"{folder} holds no run: it has no options.json") from None
    found.pop("data", None)
    return replace(kind(), **found)


def loaded(folder: Path, data: Dataset) -> dict:
    """`last.pt` of a run on these data."""
    if not (folder / "last.pt").is_file():
        raise Problem(f"{folder / 'last.pt'}: no such checkpoint")
    if json.loads((folder / "options.json").read_text(encoding="utf-8"))["data"]["sha256"] != data.digest():
        raise Problem(f"{folder} was trained on other events: name those, or train anew")
    return torch.load(folder / "last.pt", map_location="cpu", weights_only=True)
