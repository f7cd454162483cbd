"""The choice among twenty on the validation rows: the language model beside the recommender and what needs no training.

HitRatio@1: hits among all rows; ValidRatio: rows with a valid answer. Titles are scored (`constrained`, or `among titles`), or the
model writes what it likes and the candidate is looked for in it (`free`, LLaRA's way). Every method is asked the same questions. Ties count
against a method; what chooses among the candidates by their scores is always valid.
"""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from ..baselines import Markov, Popularity
from ..data import Dataset
from ..metrics import Figure, figure_of
from .heldout import hit, questions
from .prompts import LEAST, WINDOW, Choice
from .recommender import Recommender
from .tuned import Tuned

HIT, VALID = "HitRatio@1", "ValidRatio"


@dataclass(frozen=True)
class Asked:
    """The questions of one kind of rows."""

    rows: str
    choices: list[Choice]

    @classmethod
    def of(cls, data: Dataset, templates: int, kind: str | None, most: int | None) -> "Asked":
        """Histories of at least three items, the last ten of each."""
        kind = kind or data.kinds()[-1]
        return cls(kind, questions(data.validation_rows(kind), data.items, templates, LEAST, WINDOW, most))


def by_scores(choices: list[Choice], score) -> dict[str, Figure]:
    """Of what scores every item for a history."""
    hits = [hit(score([one.history])[0][one.candidates], one) for one in choices]
    return {HIT: figure_of(np.array(hits, float)), VALID: Figure(1.0, 0.0)}


def without_training(data: Dataset, choices: list[Choice]) -> dict[str, dict[str, Figure]]:
    methods = {"popularity": Popularity(data.train, data.items), "Markov": Markov(data.train, data.items)}
    return {name: by_scores(choices, method) for name, method in methods.items()}


def alone(recommender: Recommender, choices: list[Choice]) -> dict[str, Figure]:
    return by_scores(choices, recommender.score)


def constrained(model: Tuned, choices: list[Choice]) -> dict[str, Figure]:
    """By the titles' scores over the whole vocabulary."""
    return _by_titles(model, choices, "constrained", False)


def among_titles(model: Tuned, choices: list[Choice]) -> dict[str, Figure]:
    """By their scores where titles compete with each other only."""
    return _by_titles(model, choices, "among titles", True)


def _by_titles(model: Tuned, choices: list[Choice], name: str, among: bool) -> dict[str, Figure]:
    hits = [hit(model.scores(one, among), one) for one in tqdm(choices, desc=name, mininterval=10)]
    return {HIT: figure_of(np.array(hits, float)), VALID: Figure(1.0, 0.0)}


def apart(model: Tuned, choices: list[Choice]) -> int:
    """In how many questions the two scores of titles have another best."""
    best = [[int(model.scores(one, among).argmax()) for among in (False, True)] for one in tqdm(choices, desc="apart", mininterval=10)]
    return sum(first != second for first, second in best)


def free(model: Tuned, choices: list[Choice]) -> dict[str, Figure]:
    """Valid if exactly one candidate is in what was written."""
    found = [model.said(one) for one in tqdm(choices, desc="free", mininterval=10)]
    valid = np.array([len(one) == 1 for one in found], float)
    hits = [len(said) == 1 and one.candidates[said[0]] == one.target for said, one in zip(found, choices)]
    return {HIT: figure_of(np.array(hits, float)), VALID: figure_of(valid)}
