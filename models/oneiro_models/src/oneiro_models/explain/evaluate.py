"""What a named item is worth: how far the score of what is recommended falls where it is taken out (comprehensiveness; DeYoung et
al., "ERASER", arXiv 1911.03429).

Of the encoder's best item for every row: the fall without the named items, without the latest items, and without items drawn from
the whole window, the named among them, each as many. Items are named for what each of them counts alone: of two it is not given
that both together count the most.
"""

import numpy as np
from tqdm import tqdm

from ..data import Dataset
from ..inference import BundleScorer
from ..llara.heldout import SEED
from ..metrics import Figure, figure_of
from .attribution import drops, fall_without, named

LEAST = 4
"""Shorter windows leave nothing else to draw."""
DRAWS = 10


def judged(data: Dataset, kind: str | None, most: int, scorer: BundleScorer) -> tuple[str, int, dict[str, dict[str, Figure]]]:
    """What the rows are, how many, and the falls."""
    kind = kind or data.kinds()[0]
    rows = data.validation_rows(kind)
    numbers = [row for row, history in enumerate(rows.histories) if len(set(scorer.encode.seen(history).tolist())) >= LEAST]
    if len(numbers) > most:
        numbers = sorted(np.random.default_rng(SEED).choice(numbers, most, replace=False).tolist())
    falls_of = {f"without {name}": [] for name in ("the named items", "as many of the latest", "as many drawn")}
    further: list[list[bool]] = []
    for row in tqdm(numbers, desc="deleting", mininterval=10):
        history, generator = rows.histories[row], np.random.default_rng([SEED, row])
        ranked = scorer([history])[0]
        ranked[history] = -np.inf
        item = int(ranked.argmax())
        falls = drops(scorer, history, item)
        own = named(falls)
        if not own:
            continue
        seen = scorer.encode.seen(history)
        latest = list(dict.fromkeys(seen[::-1].tolist()))[: len(own)]
        all_of_it = sorted(set(seen.tolist()))
        drawn = [generator.choice(all_of_it, len(own), replace=False).tolist() for _ in range(DRAWS)]
        fall, last, *random = fall_without(scorer, history, item, [own, latest, *drawn])
        falls_of["without the named items"].append(fall)
        falls_of["without as many of the latest"].append(last)
        falls_of["without as many drawn"].append(np.mean(random))
        further.append([fall > last, fall > np.mean(random)])
    figures = {name: {"fall of the score": figure_of(np.array(falls))} for name, falls in falls_of.items()}
    shares = zip(list(falls_of)[1:], np.array(further, float).T)
    figures |= {f"the named fall further than {name.removeprefix('without ')}": {"share of rows": figure_of(own)} for name, own in shares}
    return f"{kind}, {LEAST} different items at least", len(further), figures
