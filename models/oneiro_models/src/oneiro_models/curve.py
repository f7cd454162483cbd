"""The learning curve of a run."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402


def draw(history: list[dict], best: int, out: Path) -> None:
    """Training loss and validation HR@10 and NDCG@10 by epoch, the kept epoch marked."""
    epochs = range(1, len(history) + 1)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    left.plot(epochs, [epoch["loss"] for epoch in history])
    left.set(title="Training loss", xlabel="epoch")
    for name in ("HR@10", "NDCG@10"):
        right.plot(*zip(*((place, epoch[name]) for place, epoch in enumerate(history, 1) if name in epoch)), label=name)
    right.set(title="Validation", xlabel="epoch", ylim=(0, None))
    right.axvline(best + 1, color="grey", linestyle=":", label=f"kept: epoch {best + 1}")
    right.legend(loc="lower right")
    figure.savefig(out, dpi=120)
    pyplot.close(figure)
