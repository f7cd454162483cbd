"""BIGRec beside the recommender, popularity and Markov, by the rank of every row's target among all items.

γ is chosen by NDCG@10 on rows of their own (`choosing`), which the figures leave out: for popularity among 0, 1 … 99, for the recommender
among 0, 0.01 … 0.99, 1 … 99 (the reference's grids; it chooses one for each figure).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from tokenizers import Tokenizer
from tqdm import tqdm

from .. import Problem
from ..baselines import Markov, Popularity
from ..data import Dataset, Rows
from ..language_model import piece, tokenizer_of
from ..llara.heldout import SEED
from ..llara.model import load_checkpoint
from ..llara.recommender import Recommender
from ..llara.tokenizer import END, PAD, Pieces
from ..llara.training import options_of
from ..llara.words import Words
from ..metrics import Figure, evaluate, figures, ranks
from .choosing import judged_rows
from .ground import distances, points, weighed
from .options import Writing
from .prompts import Prompts

BEAMS = 4
TOKENS = 48
"""The most of a text: more than any title of ours has."""
TOGETHER = 32
POPULARITY = list(range(100))
COLLABORATIVE = [step / 100 for step in range(100)] + list(range(1, 100))


@dataclass(frozen=True)
class Written:
    """A tuned writer, and the same model untuned."""

    tuned: torch.nn.Module
    untuned: torch.nn.Module
    prompts: Prompts
    tokenizer: Tokenizer
    plain: Tokenizer
    """Which takes nothing in a text for more than text."""
    options: Writing

    @classmethod
    def load(cls, folder: Path, base: Path, words: Words, name: str) -> "Written":
        options = options_of(folder, Writing)
        untuned, tokenizer = load_checkpoint(base)
        plain = tokenizer_of(tokenizer.to_str().encode())
        tuned = PeftModel.from_pretrained(load_checkpoint(base)[0], folder / "adapter").merge_and_unload().eval()
        return cls(tuned, untuned, Prompts(tokenizer, Pieces.of(tokenizer, words).titles, name), tokenizer, plain, options)

    @torch.inference_mode()
    def texts(self, histories: list[np.ndarray]) -> list[list[list[int]]]:
        """The beams of each history, the likeliest first: tokens up to a title's end, without double quotes around them."""
        asked = [self.prompts.prompt(history) for history in histories]
        order, found = sorted(range(len(asked)), key=lambda row: len(asked[row])), [[] for _ in asked]
        for start in tqdm(range(0, len(order), TOGETHER), desc="writing", mininterval=10):
            part = order[start : start + TOGETHER]
            longest = max(len(asked[row]) for row in part)
            tokens = torch.tensor([[PAD] * (longest - len(asked[row])) + asked[row] for row in part])
            attends = torch.tensor([[0] * (longest - len(asked[row])) + [1] * len(asked[row]) for row in part])
            said = self.tuned.generate(
                tokens, attention_mask=attends, num_beams=BEAMS, num_return_sequences=BEAMS, max_new_tokens=TOKENS, do_sample=False,
                length_penalty=1.0, early_stopping=False, eos_token_id=END, pad_token_id=PAD,
            )[:, longest:].tolist()  # fmt: skip
            for place, row in enumerate(part):
                found[row] = [self.bare(beam) for beam in said[place * BEAMS : (place + 1) * BEAMS]]
        return found

    def bare(self, tokens: list[int]) -> list[int]:
        """A text up to a title's end, without double quotes around it, encoded anew: of titles and of what was written alike."""
        tokens = tokens[: tokens.index(END)] if END in tokens else tokens
        return piece(self.plain, self.tokenizer.decode(tokens, skip_special_tokens=False).strip('"'))

    def away(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Distances of all items for each row, [n, N]: to the likeliest text, and to the nearest of all beams."""
        table = points(self.untuned, [self.bare(title) for title in self.prompts.titles])
        texts = self.texts(rows.histories)
        near = points(self.untuned, [beam for beams in texts for beam in beams]).reshape(len(texts), BEAMS, -1)
        return np.stack([distances(table, own[:1]) for own in near]), np.stack([distances(table, own) for own in near])


def judged(
    data: Dataset, kind: str | None, most: int | None, known: Recommender, model: Written
) -> tuple[str, int, dict[str, dict[str, Figure]], str]:
    """What the rows are, how many are judged, the figures of every method on them, and the γ that were chosen."""
    kind = kind or data.kinds()[0]
    choosing, rows = judged_rows(data, kind)
    if not len(choosing):
        raise Problem(f"{data.name} has fewer than four rows with a past: too few to choose γ on some")
    called = f"{kind}, with a past, but those that γ is chosen on"
    if most is not None and len(rows) > most:
        drawn = np.sort(np.random.default_rng(SEED).choice(len(rows), most, replace=False))
        rows, called = Rows([rows.histories[row] for row in drawn], rows.targets[drawn]), f"{called}, {most} drawn"

    def ranked(scores: np.ndarray, rows: Rows) -> np.ndarray:
        return ranks(scores, rows.histories if data.seen == "exclude" else [[]] * len(rows), rows.targets)

    popularity = Popularity(data.train, data.items)
    methods = {"popularity": popularity, "Markov": Markov(data.train, data.items), known.name: known.score}
    found = {name: figures(evaluate(score, rows, data.seen)) for name, score in methods.items()}
    name, told = model.options.described(), []
    nearest, any_beam = model.away(rows)
    found[name], found[f"{name}, all beams"] = (figures(ranked(-away, rows)) for away in (nearest, any_beam))
    tried, _ = model.away(choosing)
    counts = data.train.counts(data.items).astype(np.float32)
    weights = {"popularity": (POPULARITY, lambda rows: counts[None]), known.name: (COLLABORATIVE, lambda rows: known.score(rows.histories))}
    for by, (grid, of) in weights.items():
        own, others = of(choosing), of(rows)
        gamma = best(grid, lambda gamma: ranked(-weighed(tried, own, gamma), choosing))
        found[f"{name}, weighed by {by}"] = figures(ranked(-weighed(nearest, others, gamma), rows))
        told.append(f"γ {gamma:g} by {by}")
    return called, len(rows), found, ", ".join(told)


def best(grid: list, ranks_of) -> float:
    """The first γ of the greatest NDCG@10."""
    gains = [figures(ranks_of(gamma), (10,))["NDCG@10"].mean for gamma in grid]
    return float(grid[int(np.argmax(gains))])
