"""Methods side by side on the validation rows of a data set."""

from .baselines import BASELINES
from .data import Dataset
from .metrics import Figure, evaluate, figures


def compare(data: Dataset, trained: dict, seen: str = "exclude") -> dict[str, dict[str, Figure]]:
    """The figures of every baseline and of the `trained` scorers (histories → scores [B, N])."""
    rows = data.validation_rows()
    methods = {name: method(data.train, data.items) for name, method in BASELINES.items()}
    return {name: figures(evaluate(score, rows, seen, name=name)) for name, score in (methods | trained).items()}
