"""The recommender that a language model learns the taste of: its item rows, and how it ranks by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import Problem
from ..bundle import Bundle
from ..bundle.table import values
from ..convert import described, network_of
from ..data import Dataset
from ..inference import BundleScorer
from ..train import Scorer, load_run, never_ranked


@dataclass(frozen=True)
class Recommender:
    """`rows` f32 [N, d]: the static rows of the items, as they are read, not those of states. `score`: histories → [B, N]."""

    name: str
    rows: np.ndarray
    score: Callable[[list[np.ndarray]], np.ndarray]


def recommender(path: Path, data: Dataset) -> Recommender:
    """Weights of LLaRA's authors (a file beside `models.json`), a bundle with its first encoder, or a run, on these items."""
    if path.suffix == ".safetensors":
        network = network_of(path, described(path))
        found = Recommender(path.stem, network.table.detach().numpy(), Scorer(network, np.zeros(network.shape.items, bool)))
    elif (path / "manifest.json").is_file():
        bundle = Bundle(path)
        scorer = BundleScorer(bundle)
        rows = values(bundle.space(bundle.manifest["encoders"][scorer.name]["input"]))
        found = Recommender(f"{scorer.name} of bundle {bundle.manifest['name']}", np.asarray(rows, np.float32), scorer)
    else:
        network, options = load_run(path, data)
        found = Recommender(network.title, network.table.detach().numpy(), Scorer(network, never_ranked(data, options)))
    if len(found.rows) != data.items:
        raise Problem(f"{path} has {len(found.rows)} items, the data have {data.items}")
    return found
