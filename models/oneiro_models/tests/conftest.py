"""Where the tests find the repository's bundles and the data set that lies outside it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from oneiro_models.data import read
from oneiro_models.networks import NETWORKS, Shape
from oneiro_models.tiny import untrained

torch.set_num_threads(1)  # networks this small only wait for each other

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def models() -> Path:
    return REPOSITORY / "models"


@pytest.fixture(scope="session")
def golden() -> Path:
    return REPOSITORY / "tests" / "golden"


def shared(name: str) -> Path:
    """A folder of data of which the repository holds no copy."""
    folder = REPOSITORY.parent / "shared" / "data" / name
    if not folder.is_dir():
        pytest.skip(f"needs ../shared/data/{name} beside the repository")
    return folder


@pytest.fixture(scope="session")
def movietweetings():
    """The data set of models/demo."""
    return read(shared("movietweetings-100k"))


@pytest.fixture
def network():
    """Makes an untrained network with all weights, LayerNorms included, drawn at random."""

    def make(items=30, width=16, window=8, blocks=2, kind="sasrec", separate=False):
        torch.manual_seed(0)
        return untrained(Shape(items, width, window, blocks, separate), np.random.default_rng(5), NETWORKS[kind])

    return make
