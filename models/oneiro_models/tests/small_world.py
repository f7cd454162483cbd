"""A small made-up world for language models: people who walk round a circle of films."""

import numpy as np
import pytest

from oneiro_models.__main__ import main
from oneiro_models.data import read
from oneiro_models.llara.model import load_checkpoint
from oneiro_models.llara.options import Pretraining
from oneiro_models.llara.pretrain import Stage1
from oneiro_models.llara.recommender import Recommender
from oneiro_models.llara.tokenizer import Pieces
from oneiro_models.llara.words import words_of

SMALL = dict(vocabulary=400, width=32, inner=64, layers=2, heads=2, kv_heads=1, steps=4, rows=2, length=96, validate_every=2)
TITLES = ["Alien", "Alien, Resurrected", "Brazil", "M*A*S*H", "Jaws", "Jaws 2", "Échos d'hiver", "<begin> of", "Heat", "雪の駅"]
TITLES += [f"Film no. {number}" for number in range(40)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """People walk once round a circle of 50 films."""
    folder = tmp_path_factory.mktemp("world")
    generator, items = np.random.default_rng(0), len(TITLES)
    lines = ["user,item,time"]
    for user in range(60):
        start, time = generator.integers(items), generator.integers(1000)
        lines += [f"user-{user},item-{(start + step) % items:02d},{time + 10 * step}" for step in range(12)]
    (folder / "events.csv").write_text("\n".join(lines) + "\n")
    quoted = [f'item-{number:02d},"{title} ({1950 + number})"' for number, title in enumerate(TITLES)]
    (folder / "titles.csv").write_text("\n".join(["item,title", *quoted]) + "\n")
    return folder / "events.csv", folder / "titles.csv"


@pytest.fixture(scope="module")
def data(world):
    return read(*world)


@pytest.fixture(scope="module")
def words(data, world):
    return words_of(data, world[0])


@pytest.fixture(scope="module")
def base(data, words, tmp_path_factory):
    """The folder of a run of stage 1."""
    folder = tmp_path_factory.mktemp("base")
    Stage1(data, words, folder, Pretraining(**SMALL)).run()
    return folder


@pytest.fixture(scope="module")
def pieces(base, words):
    return Pieces.of(load_checkpoint(base / "checkpoint")[1], words)


@pytest.fixture
def taste(data):
    rows = np.random.default_rng(1).normal(0, 0.05, (data.items, 8)).astype(np.float32)
    return Recommender("made up", rows, lambda histories: np.stack([rows @ rows[history[-1]] for history in histories]))

@pytest.fixture(scope="module")
def plain(world, tmp_path_factory):
    """A bundle with an encoder."""
    folder = tmp_path_factory.mktemp("plain")
    events, shared = str(world[0]), ["--titles", str(world[1])]
    assert main(["train", events, str(folder / "sasrec"), *shared, "--width", "16", "--window", "8", "--epochs", "2"]) == 0
    assert main(["export", events, str(folder / "sasrec"), str(folder / "bundle"), *shared]) == 0
    return folder / "bundle"
