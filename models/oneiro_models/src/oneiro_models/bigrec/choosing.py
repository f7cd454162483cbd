"""Validation rows that something is chosen on, the adapter and γ: no figure is of them."""

import numpy as np

from ..data import Dataset, Rows

MOST = 1000


def judged_rows(data: Dataset, kind: str) -> tuple[Rows, Rows]:
    """Rows of a kind to choose γ on, and the others, without those that the adapter was chosen on: those of the first kind."""
    choosing, rows = parted(data.validation_rows(kind))
    if kind == data.kinds()[0]:
        return choosing, rows
    first, _ = parted(data.validation_rows())
    used = {(tuple(history.tolist()), target) for history, target in zip(first.histories, first.targets.tolist())}
    pairs = zip(rows.histories, rows.targets.tolist())
    kept = [row for row, (history, target) in enumerate(pairs) if (tuple(history.tolist()), target) not in used]
    return choosing, Rows([rows.histories[row] for row in kept], rows.targets[kept])


def parted(rows: Rows) -> tuple[Rows, Rows]:
    """Rows to choose on, in an order drawn once and for all, and the others: of those with a past a quarter, at most `MOST`."""
    numbers = np.array([row for row, history in enumerate(rows.histories) if len(history)], int)
    drawn = np.random.default_rng(0).permutation(len(numbers))[: min(MOST, len(numbers) // 4)]
    return tuple(
        Rows([rows.histories[row] for row in part], rows.targets[part]) for part in (numbers[drawn], np.delete(numbers, drawn))
    )
