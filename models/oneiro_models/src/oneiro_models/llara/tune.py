"""Stage 2: LoRA and a projector, on LLaRA's prompts (`prompts.py`).

Adam; its weight decay is of the projector alone, added to the gradient. Token rows and head stay as stage 1 left them. Each batch
is hybrid or of text alone, by the curriculum (`schedule.py`); of a batch of text the projector learns nothing. Where the
reference differs: a template is drawn for every prompt, not for every batch; each position of a training history with at
least three items before it is a row; the projector begins near the placeholder of prompts of text, and is always saved.
"""

from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from .. import Problem
from ..checkpoint import PROJECTIONS
from ..data import Dataset
from .documents import IGNORED, answered
from .model import load_checkpoint, save_checkpoint
from .options import Tuning
from .projector import Projector, embedded
from .prompts import LEAST, WINDOW, Choice, answer, choice, prompt
from .recommender import Recommender
from .schedule import generator_of, hybrid_odds, learning_rate
from .tokenizer import BEGIN, PAD, Pieces
from .training import Training
from .words import Words, histories

TOGETHER = 8
"""Prompts that are computed at once."""


class Stage2(Training):
    """When it is done: `adapter` (of PEFT) or, where all weights were trained, `checkpoint`; and the projector."""

    command = "tune-lm"
    every = 25
    counted = (*Training.counted, "hybrid")

    def __init__(self, data: Dataset, words: Words, base: Path, recommender: Recommender, folder: Path, options: Tuning):
        super().__init__(data, folder, options)
        self.recommender, self.hybrid = recommender, 0
        torch.manual_seed(options.seed)
        model, self.tokenizer = load_checkpoint(base)
        self.pieces = Pieces.of(self.tokenizer, words)
        self.table = torch.tensor(recommender.rows, dtype=torch.float32)
        self.projector = Projector.between(recommender.rows, model.model.embed_tokens.weight)
        self.base, self.model = model, with_adapter(model, options) if options.weights == "lora" else whole(model)
        self.rows = [(history, place) for history in histories(data) for place in range(LEAST, len(history))]
        if not self.rows:
            raise Problem(f"no training history of {data.name} has more than {LEAST} items")
        own = [weight for weight in self.model.parameters() if weight.requires_grad]
        groups = [{"params": own}, {"params": list(self.projector.parameters()), "weight_decay": options.projector_decay}]
        self.optimizer = torch.optim.Adam(groups, lr=options.learning_rate, fused=True)

    def advance(self) -> dict[str, float]:
        """One step, hybrid or of text: the mean loss of a labelled token."""
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
        return {"hybrid" if hybrid else "text": total / count}

    def drawn(self, generator: np.random.Generator) -> Choice:
        history, place = self.rows[int(generator.integers(len(self.rows)))]
        past = history[max(place - WINDOW, 0) : place]
        return choice(generator, past, int(history[place]), self.data.items, len(self.pieces.templates))

    def embedded(self, tokens: Tensor, places: list[list[int]], items: list[list[int]]) -> Tensor:
        return embedded(self.base.model.embed_tokens(tokens), places, items, self.table, self.projector)

    def report(self) -> dict:
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        return super().report() | {
            "recommender": self.recommender.name,
            "rows": len(self.rows),
            "trained": sum(weight.numel() for weight in trained),
            "projector": sum(weight.numel() for weight in self.projector.parameters()),
            "hybrid_share": self.hybrid / max(self.step, 1),
        }

    def finish(self) -> None:
        """The adapter as PEFT keeps it, or the whole model; and always the projector, whatever the last batch was."""
        if isinstance(self.model, PeftModel):
            self.model.save_pretrained(self.folder / "adapter")
        else:
            save_checkpoint(self.model, self.tokenizer, self.folder / "checkpoint")
        self.projector.save(self.folder)

    def state(self) -> dict:
        own = {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}
        return {"model": own, "projector": self.projector.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"], strict=False)
        self.projector.load_state_dict(state["projector"])
        self.optimizer.load_state_dict(state["optimizer"])


def whole(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """The model with all weights of its layers to be trained, but its token rows frozen."""
    for name, weight in model.named_parameters():
        weight.requires_grad_("embed_tokens" not in name)
    return model


def with_adapter(model: LlamaForCausalLM, options) -> nn.Module:
    """The model with LoRA on every matrix of its layers, of a `rank`, an `alpha` and a `dropout`; all else is frozen."""
    model.requires_grad_(False)
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
