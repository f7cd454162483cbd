"""The recommender's best twenty, ranked anew by the language model: every item is ranked, those of the history left out."""

import numpy as np
from tqdm import tqdm

from ..baselines import Markov, Popularity
from ..data import Dataset, Rows
from ..metrics import Figure, evaluate, figures, ranks
from .heldout import SEED
from .prompts import CANDIDATES, LEAST, WINDOW, Choice
from .recommender import Recommender
from .tuned import Tuned


def some(data: Dataset, kind: str | None, most: int | None) -> tuple[str, Rows]:
    """What rows are called, and those with at least three items; of more than `most` so many, always the same."""
    kind = kind or data.kinds()[0]
    rows = data.validation_rows(kind)
    numbers = [row for row, history in enumerate(rows.histories) if len(history) >= LEAST]
    called = f"{kind}, history of at least {LEAST}"
    if most is not None and len(numbers) > most:
        numbers = sorted(np.random.default_rng(SEED).choice(numbers, most, replace=False).tolist())
        called += f", {most} drawn"
    return called, Rows([rows.histories[row] for row in numbers], rows.targets[numbers])


def reranked(data: Dataset, rows: Rows, known: Recommender, model: Tuned, name: str) -> dict[str, dict[str, Figure]]:
    """The figures of popularity, Markov, the recommender alone, and the language model over its best twenty, `name`."""
    methods = {"popularity": Popularity(data.train, data.items), "Markov": Markov(data.train, data.items)}
    methods[known.name] = known.score
    found = {method: figures(evaluate(score, rows, "exclude")) for method, score in methods.items()}
    pairs = tqdm(list(zip(rows.histories, rows.targets)), desc="rerank", mininterval=10)
    own = [_rank(known, model, row, *pair) for row, pair in enumerate(pairs)]
    return found | {name: figures(np.array(own))}


def _rank(known: Recommender, model: Tuned, row: int, history: np.ndarray, target: int) -> int:
    """Of the target: among the best twenty by the language model, below them by the recommender."""
    scores = known.score([history]).astype(float)
    before = int(ranks(scores, [history], np.array([target]))[0])
    if before > CANDIDATES:
        return before
    scores[0, np.setdiff1d(history, [target])] = -np.inf
    best = np.argsort(-scores[0], kind="stable")[:CANDIDATES]
    template = int(np.random.default_rng([SEED, row]).integers(len(model.pieces.templates)))
    asked = model.scores(Choice(history[-WINDOW:], best, int(target), template))
    return int((asked >= asked[best == target].max()).sum())
