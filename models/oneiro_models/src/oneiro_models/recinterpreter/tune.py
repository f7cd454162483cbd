"""A linear layer learns to make of states what a language model reads, which learns beside it by LoRA or stays as it is.

The loss is that of the answers. Of every batch a half asks `residual`, a quarter each `recover` and `item`. As the reference:
AdamW, and a rate that rises from a fifth by steps. Ours: a fifth more at each, the steps over the first half of the training, and half
a cosine down over the second.
"""

import json
from hashlib import sha256
from math import cos, pi
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .. import Problem
from ..bundle import Bundle
from ..data import Dataset
from ..inference import Encoder
from ..llara.documents import IGNORED
from ..llara.model import load_checkpoint
from ..llara.projector import embedded
from ..llara.schedule import generator_of
from ..llara.tokenizer import PAD, Pieces
from ..llara.training import Training
from ..llara.tune import answer_loss, with_adapter
from ..llara.words import Words, histories
from .options import Reading
from .prompts import Questions

TOGETHER = 32
"""Prompts that are computed at once."""
SHARES = {"residual": 0.5, "recover": 0.25, "item": 0.25}
RISES = 5
PROJECTOR = "projector.safetensors"
ENCODER = "encoder.json"


class Reader(Training):
    """When it is done: `projector.safetensors` and, with LoRA, `adapter` (of PEFT)."""

    command = "tune-interpreter"
    every = 50

    def __init__(self, data: Dataset, words: Words, base: Path, bundle: Bundle, encoder: str, folder: Path, options: Reading):
        super().__init__(data, folder, options)
        torch.manual_seed(options.seed)
        model, tokenizer = load_checkpoint(base)
        self.questions = Questions(tokenizer, Pieces.of(tokenizer, words).titles, data.name)
        self.encoder = encoder_of(bundle, encoder, data)
        self.base, self.model = model, model if options.weights == "frozen" else with_adapter(model, options)
        if options.weights == "frozen":
            model.requires_grad_(False)
        self.histories = histories(data)
        self.rows = [(number, place) for number, history in enumerate(self.histories) for place in range(1, len(history))]
        self.vectors = Vectors.of(self.encoder, self.histories)
        self.read = {"encoder": encoder, "sha256": digest_of(bundle, encoder)}
        size = float(model.model.embed_tokens.weight.detach().std())
        self.layer = layer_between(self.vectors.states, size, model.config.hidden_size)
        own = [weight for weight in self.model.parameters() if weight.requires_grad] + list(self.layer.parameters())
        self.optimizer = torch.optim.AdamW(own, lr=options.learning_rate, weight_decay=options.weight_decay, fused=True)

    def advance(self) -> dict[str, float]:
        options, generator = self.options, generator_of(self.options.seed, self.step)
        torch.manual_seed(options.seed * 100_003 + self.step)
        asked = [self.drawn(generator) for _ in range(options.batch)]
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, options.steps, options.learning_rate)
        self.model.train()
        self.optimizer.zero_grad()
        count, losses = sum(len(answer) for _, _, answer in asked), {}
        for tokens, labels, places, numbers, vectors in self.batches(asked):
            rows = embedded(self.base.model.embed_tokens(tokens), places, numbers, vectors, self.layer)
            loss = answer_loss(self.base, rows, labels)
            (loss / count).backward()
            losses["loss"] = losses.get("loss", 0.0) + loss.item() / count
            self.tokens += int((tokens != PAD).sum())
        self.optimizer.step()
        self.step += 1
        return losses

    def drawn(self, generator: np.random.Generator) -> tuple[str, list[np.ndarray], list[int]]:
        """A question, its vectors and the answer."""
        kind = generator.choice(list(SHARES), p=list(SHARES.values()))
        if kind == "item":
            item = int(generator.choice(self.vectors.known))
            return kind, [self.vectors.items[item]], self.questions.named(item)
        number, place = self.rows[int(generator.integers(len(self.rows)))]
        history = self.histories[number]
        if kind == "recover":
            past = history[max(place - self.encoder.window, 0) : place]
            return kind, [self.vectors.after(number, place)], self.questions.recovered(past)
        states = [self.vectors.after(number, place), self.vectors.after(number, place + 1)]
        return kind, states, self.questions.named(int(history[place]))

    def batches(self, asked: list[tuple[str, list[np.ndarray], list[int]]]):
        """Of similar length together, padded on the right: tokens and labels [B, L], places, the number of the vector in each of
        them, and the vectors.
        """
        asked = sorted(asked, key=lambda one: len(self.questions.asked[one[0]].tokens) + len(one[2]))
        for start in range(0, len(asked), TOGETHER):
            part = asked[start : start + TOGETHER]
            texts = [self.questions.asked[kind].tokens + answer for kind, _, answer in part]
            longest = max(map(len, texts))
            tokens = torch.tensor([text + [PAD] * (longest - len(text)) for text in texts])
            labels = torch.full_like(tokens, IGNORED)
            for row, (text, (_, _, answer)) in enumerate(zip(texts, part)):
                labels[row, len(text) - len(answer) : len(text)] = torch.tensor(answer)
            vectors = [vector for _, own, _ in part for vector in own]
            numbers, first = [], 0
            for _, own, _ in part:
                numbers.append(list(range(first, first + len(own))))
                first += len(own)
            places = [self.questions.asked[kind].places for kind, _, _ in part]
            yield tokens, labels, places, numbers, torch.tensor(np.stack(vectors))

    def report(self) -> dict:
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        layer = sum(weight.numel() for weight in self.layer.parameters())
        counts = {"rows": len(self.rows), "trained": sum(weight.numel() for weight in trained), "layer": layer}
        return super().report() | counts | {"encoder": self.read}

    def resume(self) -> None:
        check_encoder(self.folder, self.read["sha256"])
        super().resume()

    def save(self) -> None:
        (self.folder / ENCODER).write_text(json.dumps(self.read) + "\n")
        super().save()

    def finish(self) -> None:
        if self.options.weights != "frozen":
            self.model.save_pretrained(self.folder / "adapter")
        save_file({name: weight.detach().contiguous() for name, weight in self.layer.state_dict().items()}, self.folder / PROJECTOR)

    def state(self) -> dict:
        own = {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}
        return {"model": own, "layer": self.layer.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"], strict=False)
        self.layer.load_state_dict(state["layer"])
        self.optimizer.load_state_dict(state["optimizer"])


def digest_of(bundle: Bundle, encoder: str) -> str:
    """Of all that a bundle's encoder is: its graph with its weights, and the rows that it reads."""
    manifest = bundle.manifest
    contract = manifest["encoders"][encoder]
    graph = manifest["graphs"][contract["graph"]]
    parts = [graph["model"], *graph["weights"], manifest["spaces"][contract["input"]]["part"]]
    return sha256("".join(manifest["parts"][part]["sha256"] for part in parts).encode()).hexdigest()


def check_encoder(run: Path, digest: str) -> None:
    """A run is bound to the very states that it was trained on."""
    try:
        told = json.loads((run / ENCODER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(f"{run} holds no run of tune-interpreter: it has no {ENCODER}") from None
    if told["sha256"] != digest:
        raise Problem(f"{run} has read the states of another encoder, called `{told['encoder']}`, or of another training of it")


class Vectors:
    """The states of an encoder after every item of some histories, and the rows of the items that it knows."""

    def __init__(self, encoder: Encoder, states: np.ndarray, starts: np.ndarray):
        self.items, self.known = encoder.rows.astype(np.float32), np.flatnonzero(encoder.cold == 0)
        self.states, self.starts = states, starts

    @classmethod
    def of(cls, encoder: Encoder, histories: list[np.ndarray]) -> "Vectors":
        starts = np.cumsum([0, *map(len, histories)])
        pasts = [history[:place] for history in histories for place in range(1, len(history) + 1)]
        return cls(encoder, states_of(encoder, pasts), starts)

    def after(self, number: int, place: int) -> np.ndarray:
        """The state after the first items of a history, at least one."""
        return self.states[self.starts[number] + place - 1]


def encoder_of(bundle: Bundle, name: str, data: Dataset) -> Encoder:
    """A bundle's encoder over the items of a data set, whose states are as wide as its rows."""
    if name not in bundle.manifest.get("encoders", {}):
        raise Problem(f"{bundle.folder} has no encoder `{name}`")
    encoder = Encoder(bundle, name)
    if len(encoder.rows) != data.items:
        raise Problem(f"{bundle.folder} has {len(encoder.rows)} items, the data have {data.items}")
    width = bundle.manifest["spaces"][bundle.manifest["encoders"][name]["output"]]["width"]
    if width != encoder.rows.shape[1]:
        raise Problem(f"the states of `{name}` are {width} wide and its rows {encoder.rows.shape[1]}: one layer cannot read both")
    return encoder


def states_of(encoder: Encoder, histories: list[np.ndarray]) -> np.ndarray:
    """f32 [n, e], those of like lengths computed together."""
    order = sorted(range(len(histories)), key=lambda number: min(len(histories[number]), encoder.window))
    found = np.zeros((len(histories), encoder.rows.shape[1]), np.float32)
    for start in range(0, len(order), 256):
        part = order[start : start + 256]
        found[part] = encoder.states([histories[number] for number in part])
    return found


def layer_between(states: np.ndarray, size: float, width: int) -> nn.Linear:
    """For states of this spread, drawn so that rows are as large as those of tokens."""
    layer = nn.Linear(states.shape[1], width)
    nn.init.normal_(layer.weight, std=size / (float(np.sqrt((states**2).mean())) * states.shape[1] ** 0.5))
    nn.init.zeros_(layer.bias)
    return layer


def load_layer(folder: Path) -> nn.Linear:
    if not (folder / PROJECTOR).is_file():
        raise Problem(f"{folder} has no {PROJECTOR}: the run has not come to its end")
    state = load_file(folder / PROJECTOR)
    layer = nn.Linear(*reversed(state["weight"].shape))
    layer.load_state_dict(state)
    return layer.requires_grad_(False)


def rate(step: int, steps: int, highest: float) -> float:
    """A fifth more at every tenth of the training up to its half, then half a cosine down to a twentieth."""
    half = steps / 2
    if step < half:
        return highest * min(0.2 * (1 + int(step / (half / RISES))), 1.0)
    return highest * (0.05 + 0.95 * (1 + cos(pi * (step - half) / (steps - half))) / 2)
