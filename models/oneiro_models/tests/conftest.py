"""Where the tests find the repository's bundles and the data sets that lie outside it."""

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from oneiro_models.data import read
from oneiro_models.networks import NETWORKS, Shape
from oneiro_models.tiny import untrained

torch.set_num_threads(1)  # networks this small only wait for each other

REPOSITORY = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("ONEIRO_DATA") or REPOSITORY.parent / "shared" / "data")
LEFT_OUT = pytest.StashKey[dict[str, int]]()


def pytest_configure(config):
    config.addinivalue_line("markers", "data_set(name): needs this data set, of which the repository holds no copy")
    config.addinivalue_line("markers", "package(name): needs this package, which is no requirement of this one")


def pytest_collection_modifyitems(config, items):
    """Leaves out the tests whose data set or package is not here; they count as no skips."""
    sets = [item for item in items if all((DATA / mark.args[0]).exists() for mark in item.iter_markers("data_set"))]
    here = [item for item in sets if all(find_spec(mark.args[0]) for mark in item.iter_markers("package"))]
    config.stash[LEFT_OUT] = {"data sets: set ONEIRO_DATA": len(items) - len(sets), "the package recbole": len(sets) - len(here)}
    items[:] = here


def pytest_terminal_summary(terminalreporter, config):
    for need, left_out in config.stash.get(LEFT_OUT, {}).items():
        if left_out:
            terminalreporter.write_line(f"{left_out} tests need {need} (see models/oneiro_models/README.md)")


@pytest.fixture(scope="session")
def models() -> Path:
    return REPOSITORY / "models"


@pytest.fixture(scope="session")
def golden() -> Path:
    return REPOSITORY / "tests" / "golden"


@pytest.fixture(scope="session")
def movietweetings():
    """The data set of models/demo."""
    return read(DATA / "movietweetings-100k")


@pytest.fixture
def network():
    """Makes an untrained network with all weights, LayerNorms included, drawn at random."""

    def make(items=30, width=16, window=8, blocks=2, kind="sasrec", separate=False):
        torch.manual_seed(0)
        return untrained(Shape(items, width, window, blocks, separate), np.random.default_rng(5), NETWORKS[kind])

    return make
