"""How well stage 1 foretells what it has not seen: the perplexity of the next title, and the choice among twenty."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import LlamaForCausalLM

from ..data import Dataset, Rows
from .documents import IGNORED, LONGEST, Packed, listed
from .judge import title_scores, written
from .model import labelled_loss
from .prompts import WINDOW, Choice, answer, choice, prompt
from .tokenizer import BEGIN, Pieces
from .words import histories

ROWS = 200
"""The most validation rows of a perplexity."""
PROMPTED = 50
"""The rows that are asked by a prompt."""
SEED = 0
"""Candidates and templates of an evaluation are the same for every method and run."""


def questions(rows: Rows, items: int, templates: int, least: int, window: int, most: int | None = None) -> list[Choice]:
    """The rows whose history has at least so many items, as choices among 20 that depend on nothing but the row's number;
    of more than `most` so many, drawn once and for all.
    """
    numbers = [row for row, history in enumerate(rows.histories) if len(history) >= least]
    if most is not None and len(numbers) > most:
        numbers = sorted(np.random.default_rng(SEED).choice(numbers, most, replace=False).tolist())
    return [
        choice(np.random.default_rng([SEED, row]), rows.histories[row][-window:], int(rows.targets[row]), items, templates)
        for row in numbers
    ]


@dataclass(frozen=True)
class HeldOut:
    """Validation rows of a data set as lists whose last title is asked: one that training has, for how well others can be spelled
    would outweigh all else.
    """

    pieces: Pieces
    choices: list[Choice]
    tokens: int

    @classmethod
    def of(cls, data: Dataset, pieces: Pieces) -> "HeldOut":
        rows, known = data.validation_rows(), data.train.counts(data.items) > 0
        kept = np.flatnonzero(known[rows.targets])
        rows = Rows([rows.histories[row] for row in kept], rows.targets[kept])
        asked = questions(rows, data.items, len(pieces.templates), 1, LONGEST - 1, ROWS)
        return cls(pieces, asked, sum(len(answer(pieces, one.target)) for one in asked))

    @torch.inference_mode()
    def judged(self, model: LlamaForCausalLM) -> dict[str, float]:
        """`perplexity`: exp of the mean −log p of the tokens of the last title and its end, given the titles before.
        `choice`: how often the right one of 20 is likeliest after them, ties against the model. `valid`: how often what it
        writes after a prompt of text alone, of the first rows, is the title of a candidate.
        """
        model.eval()
        lost = 0.0
        for start in range(0, len(self.choices), 16):
            packed = self._asked(self.choices[start : start + 16])
            rows = model.model.embed_tokens(packed.tokens)
            lost += labelled_loss(model, rows, packed.labels, packed.attends, packed.positions)[0].item()
        hits = sum(self._hit(model, one) for one in self.choices)
        prompted = self.choices[:PROMPTED]
        valid = sum(self._valid(model, one) for one in prompted)
        found = {"perplexity": float(np.exp(lost / self.tokens)), "choice": hits / len(self.choices)}
        return found | {"valid": valid / len(prompted)}

    def _asked(self, choices: list[Choice]) -> Packed:
        """Lists with nothing labelled but the last title."""
        documents = []
        for one in choices:
            tokens, _ = listed(self.pieces, [*one.history.tolist(), one.target])
            last = len(answer(self.pieces, one.target))
            documents.append([(tokens, [*[IGNORED] * (len(tokens) - last), *tokens[-last:]])])
        return Packed.of(documents, max(len(document[0][0]) for document in documents))

    def _hit(self, model: LlamaForCausalLM, one: Choice) -> bool:
        tokens, _ = listed(self.pieces, one.history.tolist())
        rows = model.model.embed_tokens(torch.tensor(tokens + self.pieces.between))
        return hit(title_scores(model, rows, [answer(self.pieces, item) for item in one.candidates.tolist()]).numpy(), one)

    def _valid(self, model: LlamaForCausalLM, one: Choice) -> bool:
        past = one.history[-WINDOW:]
        tokens = prompt(self.pieces, replace(one, history=past), rows=False).tokens + [BEGIN]
        title = written(model, model.model.embed_tokens(torch.tensor(tokens)))
        return title in [self.pieces.titles[item] for item in one.candidates.tolist()]


def hit(scores: np.ndarray, one: Choice) -> bool:
    """Whether the target scores above every other candidate."""
    target = one.candidates == one.target
    return bool(scores[target].max() > scores[~target].max())


def baselines(data: Dataset, held_out: HeldOut) -> dict[str, float]:
    """The same perplexity by what needs no network: tokens by their number, titles by theirs, the last title again as often as in
    training, and what followed the last one, smoothed by Witten and Bell's rule.
    """
    items, pieces = data.items, held_out.pieces
    pasts, counts = histories(data), data.train.counts(data.items)
    popularity = (counts + 1) / (counts.sum() + items)
    tokens = np.ones(1 + max(max(title) for style in pieces.styles for title in style))
    for item, count in enumerate(counts.tolist()):
        tokens[answer(pieces, item)] += count
    tokens = np.log(tokens / tokens.sum())
    pairs = np.concatenate([np.stack([past[:-1], past[1:]]) for past in pasts], 1)
    repeats = (1 + (pairs[0] == pairs[1]).sum()) / (2 + pairs.shape[1])
    found = dict.fromkeys(("unigram", "popularity", "repeat-last", "Markov"), 0.0)
    for one in held_out.choices:
        last, target = int(one.history[-1]), one.target
        after = pairs[1][pairs[0] == last]
        share = len(after) / (len(after) + len(np.unique(after))) if len(after) else 0.0
        followed = share * np.count_nonzero(after == target) / max(len(after), 1)
        found["unigram"] += tokens[answer(pieces, target)].sum()
        found["popularity"] += np.log(popularity[target])
        found["repeat-last"] += np.log(repeats * (last == target) + (1 - repeats) * popularity[target])
        found["Markov"] += np.log(followed + (1 - share) * popularity[target])
    return {name: float(np.exp(-total / held_out.tokens)) for name, total in found.items()}


