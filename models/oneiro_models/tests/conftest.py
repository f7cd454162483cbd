"""Where the tests find the repository's bundles and the data set that lies outside it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from oneiro_models.data import read
from oneiro_models.networks.sasrec import Shape
from oneiro_models.tiny import untrained

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def models() -> Path:
    return REPOSITORY / "models"


@pytest.fixture(scope="session")
def golden() -> Path:
    return REPOSITORY / "tests" / "golden"


@pytest.fixture(scope="session")
def movietweetings():
    """The data set of models/demo, of which the repository holds no copy."""
    folder = REPOSITORY.parent / "shared" / "data" / "movietweetings-100k"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/movietweetings-100k beside the repository")
    return read(folder)


@pytest.fixture
def network():
    """Makes an untrained network with all weights, LayerNorms included, drawn at random."""

    def make(items=30, width=16, window=8, blocks=2):
        torch.manual_seed(0)
        return untrained(Shape(items, width, window, blocks), np.random.default_rng(5))

    return make
