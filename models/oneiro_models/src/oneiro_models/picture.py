"""A picture of how an oracle comes to its dream: the denoising path among the items, and how near it comes to the nearest."""

from pathlib import Path
from warnings import catch_warnings, simplefilter

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

from . import Problem  # noqa: E402
from .bundle import Bundle  # noqa: E402
from .inference import Oracle, OracleScorer  # noqa: E402
from .noise import gaussian  # noqa: E402

NEAREST = 5
LABEL = 36
"""Characters of a title that are shown."""


def draw_dream(folder: Path, out: Path, history: list[str], name: str | None = None, seed: int = 0) -> list[str]:
    """Draws the path for a history of item ids, oldest first; the ids of the items that the dream is nearest to.

    Left, the first two principal components of the item rows, all made one long as x is, since ranking knows only
    directions; right, the cosine between x and the items that rank highest in the end, from the first step to the last.
    """
    bundle = Bundle(folder)
    oracles = bundle.manifest.get("oracles", {})
    name = name or next(iter(oracles), None)
    if name not in oracles:
        raise Problem(f"{folder} has no oracle" + (f" `{name}`; it has {', '.join(oracles)}" if oracles else ""))
    numbers = {identity: item for item, identity in enumerate(bundle.strings("ids"))}
    unknown = [identity for identity in history if identity not in numbers]
    if unknown:
        raise Problem(f"{folder} has no item `{unknown[0]}`")
    seen = np.array([numbers[identity] for identity in history], np.int64)
    scorer = OracleScorer(bundle, name)
    path = dreamt(scorer.oracle, scorer.encode.states([seen]), seed)
    scores = np.where(scorer.cold, -np.inf, scorer.rows @ path[-1])
    if bundle.manifest["seen"] == "exclude":
        scores[seen] = -np.inf
    nearest = np.argsort(-scores, kind="stable")[:NEAREST]
    titles = bundle.strings("titles") if "titles.offsets" in bundle.catalog else bundle.strings("ids")
    picture(path, _directions(scorer.rows[~scorer.cold]), _directions(scorer.rows[seen]), _directions(scorer.rows[nearest]),
            [_short(titles[item]) for item in nearest], out)  # fmt: skip
    return [bundle.strings("ids")[item] for item in nearest]


def dreamt(oracle: Oracle, state: np.ndarray, seed: int) -> np.ndarray:
    """x before the first step and after every one, [T+1, d]."""
    seeds, width = np.array([seed]), state.shape[1]
    start = gaussian(seeds, len(oracle.schedule), 0, width)
    path: list[np.ndarray] = [start]
    oracle.chain(state, lambda t: gaussian(seeds, t, 0, width), path)
    return np.concatenate(path)


def picture(path: np.ndarray, items: np.ndarray, seen: np.ndarray, nearest: np.ndarray, names: list[str], out: Path) -> None:
    """`path` [T+1, d]; rows of length one: all `items`, those `seen`, and the `nearest` with their `names`."""
    centre = items.mean(0)
    plane = np.linalg.svd(items - centre, full_matrices=False)[2][:2].T
    way = (_directions(path) - centre) @ plane
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 5), layout="constrained")
    left.scatter(*((items - centre) @ plane).T, s=3, color="lightgrey", label="items")
    left.plot(*way.T, color="grey", linewidth=0.5)
    steps = left.scatter(*way.T, s=6, c=np.arange(len(way))[::-1], cmap="viridis")
    figure.colorbar(steps, ax=left, label="steps to go")
    if len(seen):
        left.scatter(*((seen - centre) @ plane).T, s=30, marker="s", facecolors="none", edgecolors="black", label="history")
    left.scatter(*((nearest - centre) @ plane).T, s=30, marker="^", color="tab:red", label="nearest to the dream")
    left.scatter(*way[-1:].T, s=90, marker="*", color="tab:orange", label="dream", zorder=3)
    left.set(title="The path among the items", xticks=[], yticks=[])
    left.legend(loc="best", fontsize="small")
    cosines = _directions(path) @ nearest.T
    for row, name in zip(cosines.T, names):
        right.plot(np.arange(len(path)), row, label=name)
    right.plot(np.arange(len(path)), (_directions(path) @ items.T).max(1), color="grey", linestyle=":", label="nearest of all, seen or not")
    right.set(title="How near it comes", xlabel="steps gone", ylabel="cosine to the item")
    right.legend(loc="best", fontsize="small")
    with catch_warnings():
        simplefilter("ignore")  # the font may lack a letter of a title
        figure.savefig(out, dpi=120)
    pyplot.close(figure)


def _short(title: str) -> str:
    return title if len(title) <= LABEL else title[: LABEL - 1].rstrip() + "…"


def _directions(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
