"""How far the score of an item falls if an item that the encoder sees had never been in the history."""

import numpy as np

from ..inference import BundleScorer

NAMED = 2
LEAST = 1e-4
"""What a fall is more than, to be named: not the rounding of states that were computed together with others."""


def drops(scorer: BundleScorer, history: np.ndarray, item: int) -> list[tuple[int, float]]:
    """Each different item of the window with its fall, the most first; of equal ones the lower item."""
    seen = sorted(set(scorer.encode.seen(history).tolist()))
    if not seen:
        return []
    whole, *others = scores(scorer, [history, *(history[history != one] for one in seen)], item)
    falls = [(one, float(whole - other)) for one, other in zip(seen, others)]
    return sorted(falls, key=lambda pair: (-pair[1], pair[0]))


def named(falls: list[tuple[int, float]]) -> list[int]:
    """What a sentence names: of the strongest two those that count."""
    return [item for item, fall in falls[:NAMED] if fall > LEAST]


def fall_without(scorer: BundleScorer, history: np.ndarray, item: int, removed: list[list[int]]) -> np.ndarray:
    """How far the score of an item falls without each of some sets of items."""
    whole, *others = scores(scorer, [history, *(history[~np.isin(history, own)] for own in removed)], item)
    return whole - np.array(others)


def scores(scorer: BundleScorer, histories: list[np.ndarray], item: int) -> np.ndarray:
    """Of one item after each history."""
    bias = scorer.bias[item] if np.ndim(scorer.bias) else scorer.bias
    return scorer.encode.states(histories) @ scorer.rows[item] + bias
