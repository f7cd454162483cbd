"""Where the tests find the repository's bundles and the data sets that lie outside it."""

import json
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from oneiro_models.agree import environment
from oneiro_models.data import read
from oneiro_models.networks import NETWORKS, Shape
from oneiro_models.tiny import untrained

torch.set_num_threads(1)  # networks this small only wait for each other

REPOSITORY = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("ONEIRO_DATA") or REPOSITORY.parent / "shared" / "data")
BUILT = [Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target", profile, "oneiro") for profile in ("release", "debug")]
ONEIRO = os.environ.get("ONEIRO_COMMAND") or next((str(path) for path in BUILT if path.is_file()), shutil.which("oneiro"))
LEFT_OUT = pytest.StashKey[dict[str, int]]()


def pytest_configure(config):
    config.addinivalue_line("markers", "data_set(name): needs this data set, of which the repository holds no copy")
    config.addinivalue_line("markers", "package(name): needs this package, which is no requirement of this one")
    config.addinivalue_line("markers", "oneiro: needs the command `oneiro`")


def pytest_collection_modifyitems(config, items):
    """Leaves out the tests whose data set, package or command is not here; they count as no skips."""
    sets = [item for item in items if all((DATA / mark.args[0]).exists() for mark in item.iter_markers("data_set"))]
    here = [item for item in sets if all(find_spec(mark.args[0]) for mark in item.iter_markers("package"))]
    able = [item for item in here if ONEIRO or not item.get_closest_marker("oneiro")]
    config.stash[LEFT_OUT] = {
        "data sets: set ONEIRO_DATA": len(items) - len(sets),
        "the packages recbole, transformers or peft": len(sets) - len(here),
        "the command oneiro: build it, or set ONEIRO_COMMAND": len(here) - len(able),
    }
    items[:] = able


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


def oneiro(*arguments) -> dict:
    """What the command prints as JSON."""
    run = subprocess.run([ONEIRO, *map(str, arguments), "--json"], capture_output=True, encoding="utf-8", env=environment())
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def told_by_oneiro(bundle, tokens: int) -> tuple[list[int], np.ndarray]:
    """What a language model writes by the command after nothing but its begin token, always the likeliest token: the tokens, and
    log p of every token of the vocabulary in the place of each, [S, V].
    """
    count = bundle.manifest["token_tables"]["tokens"]["rows"]
    told = oneiro("generate", bundle.folder, "--prompt", "", "--tokens", tokens, "--logprobs", count)
    found = np.full((len(told["tokens"]), count), np.nan)
    for row, one in zip(found, told["logprobs"]):
        row[[other["token"] for other in one["likeliest"]]] = [other["logprob"] for other in one["likeliest"]]
    return told["tokens"], found


def scores_by_oneiro(bundle, histories: list[np.ndarray]) -> np.ndarray:
    """The score of every item of the catalog after each history, by the command; [B, N]."""
    ids = bundle.strings("ids")
    scores = np.full((len(histories), len(ids)), np.nan)
    for row, history in enumerate(histories):
        seen = [word for item in history for word in ("--seen", ids[item])]
        found = oneiro("recommend", bundle.folder, "--by", "encoder", "--allow-seen", "-k", len(ids), *seen)
        for item in found["items"]:
            scores[row, item["item"]] = item["score"]
    return scores
