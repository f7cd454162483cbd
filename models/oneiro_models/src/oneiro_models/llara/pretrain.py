"""Stage 1: oneiro-lm learns the next token of histories written as titles (`documents.py`).

AdamW, the learning rate of `schedule.py`. What validation rows are used for is to choose which of the models on the way is kept,
by the perplexity of the next title.
"""

from pathlib import Path

import torch
from torch import nn

from ..data import Dataset
from .documents import Documents
from .heldout import HeldOut, baselines
from .model import labelled_loss, save_checkpoint, untrained, with_dropout
from .options import Pretraining
from .schedule import generator_of, learning_rate
from .tokenizer import PAD, Pieces, train_tokenizer
from .training import Training
from .words import Words, histories

BETAS = (0.9, 0.95)
CLIPPED = 1.0
"""The longest gradient."""


class Stage1(Training):
    """The best model so far lies in `checkpoint`."""

    command = "train-lm"

    def __init__(self, data: Dataset, words: Words, folder: Path, options: Pretraining):
        super().__init__(data, folder, options)
        self.every = options.validate_every
        torch.manual_seed(options.seed)
        self.tokenizer = train_tokenizer(words, data.train.counts(data.items), options.vocabulary)
        size = -(-self.tokenizer.get_vocab_size() // 32) * 32
        sizes = (options.width, options.inner, options.layers, options.heads, options.kv_heads, options.context)
        self.model = untrained(size, *sizes)
        with_dropout(self.model, options.dropout)
        self.pieces = Pieces.of(self.tokenizer, words)
        self.documents = Documents(self.pieces, histories(data), data.items, options.prompts, options.left_out)
        self.held_out = HeldOut.of(data, self.pieces)
        matrices = [weight for weight in self.model.parameters() if weight.ndim > 1]
        vectors = [weight for weight in self.model.parameters() if weight.ndim == 1]
        groups = [{"params": matrices, "weight_decay": options.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, betas=BETAS, fused=True)

    def advance(self) -> dict[str, float]:
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
        return {"loss": loss.item() / count}

    def judged(self) -> dict[str, float]:
        return self.held_out.judged(self.model)

    def noted(self) -> None:
        if self.history[-1]["perplexity"] == min(one["perplexity"] for one in self.history):
            save_checkpoint(self.model, self.tokenizer, self.folder / "checkpoint")

    def report(self) -> dict:
        return super().report() | {
            "parameters": sum(weight.numel() for weight in self.model.parameters()),
            "vocabulary": self.tokenizer.get_vocab_size(),
            "kept": min(self.history, key=lambda one: one["perplexity"]),
            "baselines": baselines(self.data, self.held_out),
        }

    def state(self) -> dict:
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
