"""A language model is tuned on sentences that name what raises an item's score: LoRA on all matrices, the loss on the sentence."""

from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from .. import Problem
from ..bundle import Bundle
from ..data import Dataset
from ..inference import BundleScorer
from ..language_model import piece, tokenizer_of
from ..llara.documents import IGNORED
from ..llara.model import load_checkpoint
from ..llara.schedule import generator_of, learning_rate
from ..llara.tokenizer import BEGIN, END, PAD, Pieces
from ..llara.training import Training
from ..llara.tune import answer_loss, with_adapter
from ..llara.words import Words, histories
from .attribution import drops, named
from .options import Explaining
from .sentences import SEPARATOR, WINDOW, filled, prompt_of, sentences_of

TOGETHER = 16


class Explanations(Training):
    """When it is done, the adapter lies in `adapter`."""

    command = "tune-explainer"
    every = 50

    def __init__(self, data: Dataset, words: Words, base: Path, bundle: Bundle, encoder: str, folder: Path, options: Explaining):
        super().__init__(data, folder, options)
        torch.manual_seed(options.seed)
        self.base, tokenizer = load_checkpoint(base)
        self.texts = Texts(tokenizer, words, data)
        scorer = BundleScorer(bundle, encoder)
        if len(scorer.rows) != data.items:
            raise Problem(f"{bundle.folder} has {len(scorer.rows)} items, the data have {data.items}")
        self.documents = list(self.texts.documents(scorer, histories(data), options.rows, np.random.default_rng(options.seed)))
        if not self.documents:
            raise Problem(f"no training row of {data.name} has an item that raises the score of the next")
        self.model = with_adapter(self.base, options)
        own = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(own, lr=options.learning_rate, weight_decay=0.0, fused=True)

    def advance(self) -> dict[str, float]:
        options, generator = self.options, generator_of(self.options.seed, self.step)
        torch.manual_seed(options.seed * 100_003 + self.step)
        drawn = [self.documents[row] for row in generator.integers(len(self.documents), size=options.batch)]
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, options.steps, options.learning_rate)
        self.model.train()
        self.optimizer.zero_grad()
        count, total = sum(len(said) for _, said in drawn), 0.0
        drawn.sort(key=lambda one: len(one[0]) + len(one[1]))
        for start in range(0, len(drawn), TOGETHER):
            part = drawn[start : start + TOGETHER]
            longest = max(len(asked) + len(said) for asked, said in part)
            tokens, labels = torch.full((len(part), longest), PAD), torch.full((len(part), longest), IGNORED)
            for row, (asked, said) in enumerate(part):
                tokens[row, : len(asked) + len(said)] = torch.tensor(asked + said)
                labels[row, len(asked) : len(asked) + len(said)] = torch.tensor(said)
            loss = answer_loss(self.base, self.base.model.embed_tokens(tokens), labels)
            (loss / count).backward()
            total += loss.item()
            self.tokens += int((tokens != PAD).sum())
        self.optimizer.step()
        self.step += 1
        return {"loss": total / count}

    def finish(self) -> None:
        self.model.save_pretrained(self.folder / "adapter")

    def report(self) -> dict:
        trained = sum(weight.numel() for weight in self.model.parameters() if weight.requires_grad)
        return super().report() | {"rows": len(self.documents), "trained": trained}

    def state(self) -> dict:
        own = {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}
        return {"model": own, "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])


class Texts:
    """Prompts and sentences of one catalog as tokens, as the library has them."""

    def __init__(self, tokenizer, words: Words, data: Dataset):
        self.plain, self.titles = tokenizer_of(tokenizer.to_str().encode()), words.titles
        self.pieces = Pieces.of(tokenizer, words).titles
        tags = data.catalog.attributes.get("genres")
        self.tags = tags or [[] for _ in words.titles]
        self.sentences = sentences_of(data.name, tags is not None)
        before, rest = prompt_of(data.name).split("{history}")
        between, after = rest.split("{candidates}")
        self.before, self.between, self.after, self.separator = (
            piece(self.plain, text) for text in (before, between, after, SEPARATOR)
        )

    def prompt(self, history: np.ndarray, item: int) -> list[int]:
        tokens = [BEGIN, *self.before]
        for number, seen in enumerate(history[-WINDOW:].tolist()):
            tokens += [*(self.separator if number else []), *self.pieces[seen]]
        return tokens + self.between + self.pieces[item] + self.after

    def answers(self, item: int, reasons: list[int]) -> list[str]:
        """The sentences that name these items, the one that says the most last."""
        shared = [tag for tag in sorted(self.tags[item]) if all(tag in self.tags[one] for one in reasons)]
        return filled(self.sentences, [self.titles[one] for one in reasons], shared)

    def said(self, sentence: str) -> list[int]:
        return [*piece(self.plain, sentence), END]

    def documents(self, scorer: BundleScorer, pasts: list[np.ndarray], count: int, generator: np.random.Generator):
        """Prompts and sentences of so many rows: of an item that came next, what raised its score."""
        rows = [(number, place) for number, history in enumerate(pasts) for place in range(1, len(history))]
        chosen = generator.permutation(len(rows))[:count]
        for row in tqdm(chosen, desc="attributing", mininterval=10):
            number, place = rows[row]
            history, item = pasts[number][:place], int(pasts[number][place])
            reasons = named(drops(scorer, history, item)) if not scorer.cold[item] else []
            if reasons:
                yield self.prompt(history, item), self.said(self.answers(item, reasons)[-1])
