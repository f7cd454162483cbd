"""HR@K and NDCG@K by ranking every item, with standard errors.

One target a row: HR@K = share of rows whose target is among the first K; NDCG@K = mean of 1 / log2(rank + 1) over those.
Items of the history are left out of the ranking where seen items are excluded, the target never.
Ties count against the method.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
from tqdm import tqdm

from .data import Rows

CUTOFFS = (5, 10, 20)


@dataclass(frozen=True)
class Figure:
    """A mean over rows and its standard error; None: not known."""

    mean: float
    error: float | None

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + ("" if self.error is None else f" ± {self.error:.4f}")


def over_seeds(found: list[dict[str, Figure]]) -> dict[str, Figure]:
    """The mean of each figure over seeds and their standard deviation; of one seed what it is."""
    if len(found) == 1:
        return found[0]
    means = {name: [one[name].mean for one in found] for name in found[0]}
    return {name: Figure(mean(values), stdev(values)) for name, values in means.items()}


def ranks(scores: np.ndarray, left_out: list, targets: np.ndarray) -> np.ndarray:
    """The rank of each target, from 1; `scores` [B, N]; `left_out`: items per row. NaN ranks behind everything."""
    rows = np.arange(len(targets))
    target_scores = scores[rows, targets]
    ahead = scores >= target_scores[:, None]
    ahead[np.isnan(target_scores) | np.isneginf(target_scores)] = True
    for row, items in enumerate(left_out):
        ahead[row, np.asarray(items, int)] = False
    ahead[rows, targets] = True
    return ahead.sum(axis=1)


def evaluate(
    score: Callable[[list[np.ndarray]], np.ndarray],
    rows: Rows,
    seen: str = "exclude",
    batch: int = 512,
    name: str | None = None,
) -> np.ndarray:
    """The rank of every row's target by `score`: histories → scores [B, N]; a progress bar under `name`.

    [D, n] instead of [n] where `score` has so many `draws`: it is then given a seed for each history, the row's number,
    and returns scores [D, B, N].
    """
    draws = getattr(score, "draws", None)
    result = np.zeros((draws or 1, len(rows)), int)
    order = np.argsort([len(history) for history in rows.histories], kind="stable")
    for start in tqdm(range(0, len(rows), batch), desc=name, disable=name is None, leave=False):
        part = order[start : start + batch]
        histories = [rows.histories[row] for row in part]
        left_out = histories if seen == "exclude" else [[]] * len(histories)
        answers = score(histories, part) if draws else score(histories)[None]
        for draw, scores in enumerate(answers):
            result[draw, part] = ranks(scores, left_out, rows.targets[part])
    return result if draws else result[0]


def figures(ranks: np.ndarray, cutoffs: tuple[int, ...] = CUTOFFS) -> dict[str, Figure]:
    """`HR@K` and `NDCG@K` for each cutoff; of ranks [D, n] a row's figure is its mean over the draws."""
    ranks = np.atleast_2d(ranks)
    hits = {f"HR@{k}": (ranks <= k).astype(float) for k in cutoffs}
    gains = {f"NDCG@{k}": np.where(ranks <= k, 1 / np.log2(ranks + 1), 0) for k in cutoffs}
    return {name: figure_of(values.mean(0)) for name, values in (hits | gains).items()}


def figure_of(values: np.ndarray) -> Figure:
    """The mean over rows and its standard error."""
    spread = values.std(ddof=1) if len(values) > 1 else 0.0
    return Figure(float(values.mean()), float(spread / np.sqrt(len(values))))


def as_table(methods: dict[str, dict[str, Figure]]) -> str:
    """Methods and their figures as a Markdown table; what is not known of one stays empty."""
    names = list(max(methods.values(), key=len))
    lines = ["| method | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {method} | " + " | ".join(str(found.get(name, "")) for name in names) + " |" for method, found in methods.items()]
    return "\n".join(lines)
