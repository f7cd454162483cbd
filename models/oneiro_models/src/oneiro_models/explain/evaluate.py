"""Deletion faithfulness: how much further the score of what is recommended falls without the items that are named.

Of the encoder's best item for every row: the fall without the named items, and the mean of falls without as many others of the
window, drawn several times.
"""

import numpy as np
from tqdm import tqdm

from ..data import Dataset
from ..inference import BundleScorer
from ..llara.heldout import SEED
from ..metrics import Figure, figure_of
from .attribution import drops, fall_without, named, window

LEAST = 4
"""Shorter windows leave nothing else to draw."""
DRAWS = 10


def judged(data: Dataset, kind: str | None, most: int, scorer: BundleScorer) -> tuple[str, int, dict[str, dict[str, Figure]]]:
    """What the rows are, how many, and the falls."""
    kind = kind or data.kinds()[0]
    rows = data.validation_rows(kind)
    numbers = [row for row, history in enumerate(rows.histories) if len(set(window(scorer, history).tolist())) >= LEAST]
    if len(numbers) > most:
        numbers = sorted(np.random.default_rng(SEED).choice(numbers, most, replace=False).tolist())
    without, others, further, found = [], [], [], 0
    for row in tqdm(numbers, desc="deleting", mininterval=10):
        history, generator = rows.histories[row], np.random.default_rng([SEED, row])
        ranked = scorer([history])[0]
        ranked[history] = -np.inf
        item = int(ranked.argmax())
        falls = drops(scorer, history, item)
        own = named(falls)
        if not own:
            continue
        found += 1
        rest = [one for one, _ in falls if one not in own]
        drawn = [generator.choice(rest, min(len(own), len(rest)), replace=False).tolist() for _ in range(DRAWS)]
        fall, *random = fall_without(scorer, history, item, [own, *drawn])
        without.append(fall)
        others.append(np.mean(random))
        further.append(fall > np.mean(random))
    figures = {
        "without the named items": {"fall of the score": figure_of(np.array(without))},
        "without as many others": {"fall of the score": figure_of(np.array(others))},
        "falls further without the named": {"share of rows": figure_of(np.array(further, float))},
    }
    return f"{kind}, {LEAST} different items at least", found, figures
