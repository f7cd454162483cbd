"""Validation rows that something is chosen on, the adapter and γ: no figure is of them."""

import numpy as np

from ..data import Rows

MOST = 1000


def parted(rows: Rows) -> tuple[Rows, Rows]:
    """Rows to choose on, in an order drawn once and for all, and the others: of those with a past a quarter, at most `MOST`."""
    numbers = np.array([row for row, history in enumerate(rows.histories) if len(history)], int)
    drawn = np.random.default_rng(0).permutation(len(numbers))[: min(MOST, len(numbers) // 4)]
    return tuple(
        Rows([rows.histories[row] for row in part], rows.targets[part]) for part in (numbers[drawn], np.delete(numbers, drawn))
    )
