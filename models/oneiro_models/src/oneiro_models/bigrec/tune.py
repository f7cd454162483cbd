"""A language model is tuned to write the next title after an instruction.

As the reference: LoRA on a sample of the training rows, the loss on the whole text, prompt included, AdamW with a rate that falls
in a line after 20 steps of warming up, and the adapter kept that does best on validation rows; it ends when that has not got
better for a while. Where the reference differs: it validates by the whole text, we by the answer, and none of its prompts opens
with the quote of the answer.
"""

from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

from .. import Problem
from ..data import Dataset
from ..llara.documents import IGNORED
from ..llara.model import load_checkpoint
from ..llara.schedule import generator_of
from ..llara.tokenizer import PAD, Pieces
from ..llara.training import Training
from ..llara.tune import answer_loss
from ..llara.words import Words, histories
from .choosing import parted
from .options import Writing
from .prompts import Prompts

TOGETHER = 8
"""Texts that are computed at once."""
WARM_UP = 20
"""Steps in which the rate rises."""
VALIDATED = 200
"""The most validation rows that choose the adapter."""
MATRICES = {"qv": ["q_proj", "v_proj"], "all": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]}


class Writer(Training):
    """The best adapter so far lies in `adapter`, as PEFT keeps it."""

    command = "tune-writer"

    def __init__(self, data: Dataset, words: Words, base: Path, folder: Path, options: Writing):
        super().__init__(data, folder, options)
        self.every = options.validate_every
        torch.manual_seed(options.seed)
        self.base, tokenizer = load_checkpoint(base)
        self.prompts = Prompts(tokenizer, Pieces.of(tokenizer, words).titles, data.name)
        config = LoraConfig(
            r=options.rank, lora_alpha=options.alpha, lora_dropout=options.dropout, target_modules=MATRICES[options.matrices],
            task_type="CAUSAL_LM",
        )  # fmt: skip
        self.model = get_peft_model(self.base, config)
        rows = [(history[:place], int(history[place])) for history in histories(data) for place in range(1, len(history))]
        generator = np.random.default_rng(options.seed)
        if options.rows > len(rows):
            raise Problem(f"{data.name} has {len(rows)} training rows, not {options.rows}")
        chosen = generator.choice(len(rows), options.rows, replace=False) if options.rows else np.arange(len(rows))
        self.rows = [rows[row] for row in chosen]
        choosing, _ = parted(data.validation_rows())
        self.held_out = list(zip(choosing.histories, choosing.targets.tolist()))[:VALIDATED]
        if not self.held_out:
            raise Problem(f"{data.name} has fewer than four validation rows with a past: too few to choose the adapter on some")
        own = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(own, lr=options.learning_rate, weight_decay=0.0, fused=True)

    def advance(self) -> dict[str, float]:
        options, generator = self.options, generator_of(self.options.seed, self.step)
        torch.manual_seed(options.seed * 100_003 + self.step)
        rows = [self.rows[row] for row in generator.integers(len(self.rows), size=options.batch)]
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.step, options.steps, options.learning_rate)
        self.model.train()
        self.optimizer.zero_grad()
        batches = list(self.texts(rows, whole=True))
        count, total = sum(int((labels != IGNORED).sum()) for _, labels in batches), 0.0
        for tokens, labels in batches:
            loss = answer_loss(self.base, self.base.model.embed_tokens(tokens), labels)
            (loss / count).backward()
            total += loss.item()
            self.tokens += int((tokens != PAD).sum())
        self.optimizer.step()
        self.step += 1
        return {"loss": total / count}

    def texts(self, rows: list[tuple[np.ndarray, int]], whole: bool):
        """Prompts with their answers, of similar length together, padded on the right: tokens and labels [B, L]; labelled is the
        whole text, or the answer.
        """
        found = []
        for history, target in rows:
            prompt, said = self.prompts.prompt(history), self.prompts.answer(target)
            found.append((prompt + said, [IGNORED, *prompt[1:]] + said if whole else [IGNORED] * len(prompt) + said))
        found.sort(key=lambda one: len(one[0]))
        for start in range(0, len(found), TOGETHER):
            part = found[start : start + TOGETHER]
            longest = len(part[-1][0])
            yield tuple(
                torch.tensor([one[kind] + [padding] * (longest - len(one[kind])) for one in part])
                for kind, padding in enumerate((PAD, IGNORED))
            )

    @torch.inference_mode()
    def judged(self) -> dict[str, float]:
        """`validation`: mean −log p of the tokens of the next title and its end."""
        self.model.eval()
        lost = count = 0.0
        for tokens, labels in self.texts(self.held_out, whole=False):
            lost += answer_loss(self.base, self.base.model.embed_tokens(tokens), labels).item()
            count += int((labels != IGNORED).sum())
        return {"validation": lost / count}

    def noted(self) -> None:
        if self.history[-1]["validation"] == min(one["validation"] for one in self.history):
            self.model.save_pretrained(self.folder / "adapter")

    def is_done(self) -> bool:
        found = [one["validation"] for one in self.history]
        waited = len(found) - 1 - int(np.argmin(found)) if found else 0
        return super().is_done() or waited >= self.options.patience

    def report(self) -> dict:
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        kept = min(self.history, key=lambda one: one["validation"])
        return super().report() | {"rows": len(self.rows), "trained": sum(weight.numel() for weight in trained), "kept": kept}

    def state(self) -> dict:
        return {"model": get_peft_model_state_dict(self.model), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict) -> None:
        set_peft_model_state_dict(self.model, state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


def rate(step: int, steps: int, highest: float) -> float:
    """In a line up, and in a line down to 0."""
    return highest * min((step + 1) / WARM_UP, max(steps - step, 0) / max(steps - WARM_UP, 1), 1.0)
