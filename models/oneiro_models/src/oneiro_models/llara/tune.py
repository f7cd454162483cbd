"""Stage 2: LoRA and a projector, on LLaRA's prompts (`prompts.py`).

Adam; its weight decay is of the projector alone, added to the gradient. Token rows and head stay as stage 1 left them. Each batch
is hybrid or of text alone, by the curriculum (`schedule.py`); of a batch of text the projector learns nothing. Where the
reference differs: a template is drawn for every prompt, not for every batch; each position of a training history with at
least three items before it is a row; the projector begins at the size of the rows that it is for, and is always saved.
"""

import json
import time
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from tqdm import tqdm
from transformers import LlamaForCausalLM

from .. import Problem
from ..checkpoint import PROJECTIONS
from ..data import Dataset
from .documents import IGNORED, answered
from .model import load_checkpoint, save_checkpoint
from .options import Tuning
from .pretrain import SAVED_EVERY, about, loaded
from .projector import Projector, embedded
from .prompts import LEAST, WINDOW, Choice, answer, choice, prompt
from .recommender import Recommender
from .schedule import generator_of, hybrid_odds, learning_rate
from .tokenizer import BEGIN, PAD, Pieces
from .words import Words, histories

TOGETHER = 8
"""Prompts that are computed at once."""
SHOWN_EVERY = 25


class Stage2:
    """A run in a folder: `options.json`, `last.pt` to resume from, and when it is done `adapter` (of PEFT) or, where all weights
    were trained, `checkpoint`; and the projector.
    """

    def __init__(self, data: Dataset, words: Words, base: Path, recommender: Recommender, folder: Path, options: Tuning):
        self.data, self.folder, self.options, self.recommender = data, folder, options, recommender
        torch.manual_seed(options.seed)
        model, self.tokenizer = load_checkpoint(base)
        self.pieces = Pieces.of(self.tokenizer, words)
        self.table = torch.tensor(recommender.rows, dtype=torch.float32)
        self.projector = Projector.between(recommender.rows, model.model.embed_tokens.weight)
        self.base, self.model = model, with_adapter(model, options)
        self.rows = [(history, place) for history in histories(data) for place in range(LEAST, len(history))]
        if not self.rows:
            raise Problem(f"no training history of {data.name} has more than {LEAST} items")
        own = [weight for weight in self.model.parameters() if weight.requires_grad]
        groups = [{"params": own}, {"params": list(self.projector.parameters()), "weight_decay": options.projector_decay}]
        self.optimizer = torch.optim.Adam(groups, lr=options.learning_rate, fused=True)
        self.step, self.tokens, self.seconds, self.hybrid = 0, 0, 0.0, 0
        self.history: list[dict] = []

    def run(self) -> None:
        """Trains to the last step."""
        if not self.step and (self.folder / "last.pt").exists():
            raise Problem(f"{self.folder} already holds a run: name another folder, or resume it")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "options.json").write_text(json.dumps(about(self.options, self.data), indent=2) + "\n")
        losses, saved = {True: [], False: []}, time.monotonic()
        progress = tqdm(total=self.options.steps, initial=self.step, unit="step", desc="tune-lm", mininterval=10)
        while self.step < self.options.steps:
            began = time.monotonic()
            hybrid, loss = self.advance()
            losses[hybrid].append(loss)
            self.seconds += time.monotonic() - began
            progress.update()
            if self.step % SHOWN_EVERY == 0:
                means = {("hybrid" if kind else "text"): float(np.mean(found)) for kind, found in losses.items() if found}
                self.history.append({"step": self.step, **means})
                tqdm.write(", ".join(f"{name} {value:.4g}" for name, value in self.history[-1].items()))
                losses = {True: [], False: []}
            if self.step == self.options.steps or time.monotonic() - saved > SAVED_EVERY:
                self.save()
                saved = time.monotonic()
        progress.close()
        self.keep()
        (self.folder / "report.json").write_text(json.dumps(self.report(), indent=2) + "\n")

    def advance(self) -> tuple[bool, float]:
        """One step: whether it was hybrid, and the mean loss of a labelled token."""
        options, generator = self.options, generator_of(self.options.seed, self.step)
        torch.manual_seed(options.seed * 100_003 + self.step)
        hybrid = bool(generator.random() < hybrid_odds(options.curriculum, self.step, options.steps))
        choices = [self.drawn(generator) for _ in range(options.batch)]
        batches = list(asked(self.pieces, choices, hybrid, options.labels == "history"))
        count = sum(int((labels != IGNORED).sum()) for _, labels, _, _ in batches)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, options.steps, options.learning_rate)
        self.model.train()
        self.optimizer.zero_grad()
        total = 0.0
        for tokens, labels, places, items in batches:
            loss = answer_loss(self.base, self.embedded(tokens, places, items), labels)
            (loss / count).backward()
            total += loss.item()
            self.tokens += int((tokens != PAD).sum())
        self.optimizer.step()
        self.step, self.hybrid = self.step + 1, self.hybrid + hybrid
        return hybrid, total / count

    def drawn(self, generator: np.random.Generator) -> Choice:
        history, place = self.rows[int(generator.integers(len(self.rows)))]
        past = history[max(place - WINDOW, 0) : place]
        return choice(generator, past, int(history[place]), self.data.items, len(self.pieces.templates))

    def embedded(self, tokens: Tensor, places: list[list[int]], items: list[list[int]]) -> Tensor:
        return embedded(self.base.model.embed_tokens(tokens), places, items, self.table, self.projector)

    def report(self) -> dict:
        """What the run came to."""
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        return {
            "data": self.data.name,
            "recommender": self.recommender.name,
            "rows": len(self.rows),
            "trained": sum(weight.numel() for weight in trained),
            "projector": sum(weight.numel() for weight in self.projector.parameters()),
            "tokens": self.tokens,
            "tokens_a_second": self.tokens / max(self.seconds, 1e-9),
            "hours": self.seconds / 3600,
            "hybrid_share": self.hybrid / max(self.step, 1),
            "history": self.history,
        }

    def keep(self) -> None:
        """The adapter as PEFT keeps it, or the whole model; and always the projector, whatever the last batch was."""
        if isinstance(self.model, PeftModel):
            self.model.save_pretrained(self.folder / "adapter")
        else:
            save_checkpoint(self.model, self.tokenizer, self.folder / "checkpoint")
        self.projector.save(self.folder)

    def save(self) -> None:
        own = {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}
        state = {"model": own, "projector": self.projector.state_dict(), "optimizer": self.optimizer.state_dict()}
        state |= {"step": self.step, "tokens": self.tokens, "seconds": self.seconds, "hybrid": self.hybrid, "history": self.history}
        torch.save(state, self.folder / "last.pt.part")
        (self.folder / "last.pt.part").replace(self.folder / "last.pt")

    def resume(self) -> None:
        """Goes on from `last.pt` as if never stopped: each step seeds itself."""
        state = loaded(self.folder, self.data)
        self.model.load_state_dict(state["model"], strict=False)
        self.projector.load_state_dict(state["projector"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name in ("step", "tokens", "seconds", "hybrid", "history"):
            setattr(self, name, state[name])


def with_adapter(model: LlamaForCausalLM, options: Tuning) -> nn.Module:
    """The model with LoRA on every matrix of its layers, all else frozen; or as it is, its layers to be trained."""
    for name, weight in model.named_parameters():
        weight.requires_grad_(options.weights == "full" and "embed_tokens" not in name)
    if options.weights == "full":
        return model
    matrices = [projection.split(".")[1] for projection in PROJECTIONS]
    config = LoraConfig(
        r=options.rank, lora_alpha=options.alpha, lora_dropout=options.dropout, target_modules=matrices, task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)


def asked(pieces: Pieces, choices: list[Choice], hybrid: bool, history: bool = False):
    """Batches of prompts of similar length with their answers, padded on the right: tokens and labels [B, L], the places of rows
    and their items. Labelled are the second beginning, the answer and its end; where asked for, the `history` too.
    """
    found = []
    for one in choices:
        read = prompt(pieces, one, hybrid)
        found.append((*answered(read, [BEGIN, *answer(pieces, one.target)], history), read.places, read.items))
    found.sort(key=lambda one: len(one[0]))
    for start in range(0, len(found), TOGETHER):
        part = found[start : start + TOGETHER]
        longest = len(part[-1][0])
        tokens = torch.tensor([own + [PAD] * (longest - len(own)) for own, _, _, _ in part])
        labels = torch.tensor([own + [IGNORED] * (longest - len(own)) for _, own, _, _ in part])
        yield tokens, labels, [places for _, _, places, _ in part], [items for _, _, _, items in part]


def answer_loss(model: LlamaForCausalLM, rows: Tensor, labels: Tensor) -> Tensor:
    """Σ −log p of the labelled tokens of rows [B, L, D]: what is padded stands behind them, where none of them looks."""
    hidden = model.model(inputs_embeds=rows, use_cache=False).last_hidden_state[:, :-1]
    learned = labels[:, 1:] != IGNORED
    return nn.functional.cross_entropy(model.lm_head(hidden[learned]), labels[:, 1:][learned], reduction="sum")
