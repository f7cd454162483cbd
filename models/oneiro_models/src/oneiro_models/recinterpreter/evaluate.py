"""How many titles of a history its state gives back, and which rank the title of the item between two states has among all.

Beside it what needs no language model: the most popular items, the rows that score best against the state, and those that do
against the difference of the two states.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from tqdm import tqdm
from transformers import LlamaForCausalLM

from .. import Problem
from ..baselines import Popularity
from ..bundle import Bundle
from ..bundle.table import values
from ..data import Dataset
from ..inference import Encoder
from ..llara.heldout import SEED
from ..llara.model import load_checkpoint
from ..llara.prompts import LEAST
from ..llara.tokenizer import Pieces
from ..llara.training import options_of
from ..llara.words import Words
from ..metrics import Figure, figure_of
from .decode import Titles, listed, rank_of
from .options import Reading
from .prompts import LISTED, Questions
from .tune import load_layer

TOGETHER = 32
RECOVERED, TOP, MRR, ITEM = "titles of ten", "residual top-1", "residual MRR", "item top-1"


@dataclass(frozen=True)
class Reads:
    """A tuned interpreter, ready to be asked."""

    model: LlamaForCausalLM
    layer: torch.nn.Linear
    questions: Questions
    titles: Titles
    options: Reading

    @classmethod
    def load(cls, folder: Path, base: Path, words: Words, name: str) -> "Reads":
        options = options_of(folder, Reading)
        model, tokenizer = load_checkpoint(base)
        if options.weights != "frozen":
            model = PeftModel.from_pretrained(model, folder / "adapter").merge_and_unload().eval()
        questions = Questions(tokenizer, Pieces.of(tokenizer, words).titles, name)
        return cls(model, load_layer(folder), questions, Titles(questions.titles), options)

    @torch.inference_mode()
    def rows(self, kind: str, vectors: list[np.ndarray]) -> Tensor:
        """The rows [P, D] of a question about vectors."""
        asked = self.questions.asked[kind]
        rows = self.model.model.embed_tokens(torch.tensor(asked.tokens)).clone()
        rows[asked.places] = self.layer(torch.tensor(np.stack(vectors), dtype=torch.float32))
        return rows

    def recovered(self, states: np.ndarray) -> list[list[int]]:
        """The items that each state names."""
        found = []
        for start in tqdm(range(0, len(states), TOGETHER), desc="recover", mininterval=10):
            part = torch.stack([self.rows("recover", [state]) for state in states[start : start + TOGETHER]])
            found += listed(self.model, part, self.titles, LISTED)
        return found

    def rank(self, kind: str, vectors: list[np.ndarray], item: int) -> int:
        return rank_of(self.model, self.rows(kind, vectors), self.titles, item)


def judged(
    data: Dataset, kind: str | None, most: int, bundle: Bundle, encoder: Encoder, output: str, model: Reads
) -> tuple[str, int, dict[str, dict[str, Figure]]]:
    """What the rows are, how many, and the figures of every method: of the interpreter by `described`."""
    kind = kind or data.kinds()[0]
    rows = data.validation_rows(kind)
    numbers = [row for row, history in enumerate(rows.histories) if len(history) >= LEAST]
    numbers = [row for row in numbers if not encoder.cold[rows.targets[row]]]
    if not numbers:
        raise Problem(f"{data.name} has no rows with three items before one that the encoder knows")
    if len(numbers) > most:
        numbers = sorted(np.random.default_rng(SEED).choice(numbers, most, replace=False).tolist())
    histories, targets = [rows.histories[row] for row in numbers], rows.targets[numbers]
    called = f"{kind}, history of at least {LEAST}, item known to the encoder, {len(numbers)} of them"
    pasts = [encoder.seen(history) for history in histories]
    wanted = [set(list(dict.fromkeys(past[::-1].tolist()))[:LISTED]) for past in pasts]
    before = encoder.states(histories)
    after = encoder.states([np.append(history, target) for history, target in zip(histories, targets)])
    table = values(bundle.space(output)).astype(np.float32)
    cold = bundle.space(output).get("cold", np.zeros(len(table), np.uint8)) == 1

    def scores(vectors: np.ndarray) -> np.ndarray:
        return np.where(cold, -np.inf, vectors @ table.T)

    popular = np.broadcast_to(Popularity(data.train, data.items).counts, (len(numbers), data.items)).astype(float)
    found = {
        "popularity": by_scores(popular, popular, wanted, targets),
        "rows by the state, by the difference of states": by_scores(scores(before), scores(after - before), wanted, targets),
    }
    named = model.recovered(before)
    ranks = np.array([
        model.rank("residual", [one, other], int(target))
        for one, other, target in tqdm(list(zip(before, after, targets)), desc="residual", mininterval=10)
    ])  # fmt: skip
    known = np.random.default_rng(SEED).permutation(np.flatnonzero(encoder.cold == 0))[:most]
    items = np.array([model.rank("item", [encoder.rows[item]], int(item)) for item in tqdm(known, desc="item", mininterval=10)])
    found[model.options.described()] = counted(named, ranks, wanted) | {ITEM: figure_of((items == 1).astype(float))}
    return called, len(numbers), found


def by_scores(of_state: np.ndarray, of_change: np.ndarray, wanted: list[set], targets: np.ndarray) -> dict[str, Figure]:
    """By the ten best of the first scores [n, N], and the rank of the target by the second, ties against it."""
    best = np.argsort(-of_state, axis=1, kind="stable")[:, :LISTED]
    ranks = (of_change >= of_change[np.arange(len(targets)), targets][:, None]).sum(1)
    return counted(best.tolist(), ranks, wanted)


def counted(named: list[list[int]], ranks: np.ndarray, wanted: list[set]) -> dict[str, Figure]:
    hits = np.array([len(own & set(items)) for own, items in zip(wanted, named)], float)
    return {RECOVERED: figure_of(hits), TOP: figure_of((ranks == 1).astype(float)), MRR: figure_of(1 / ranks)}
