"""Weights that others trained answer in a bundle as they did with their authors."""

import json

import numpy as np
import pytest
import torch
from conftest import DATA, scores_by_oneiro
from safetensors.numpy import load_file, save_file

from oneiro_models import Problem
from oneiro_models.__main__ import main
from oneiro_models.bundle import Bundle
from oneiro_models.convert import NAMES, described, network_of
from oneiro_models.inference import BundleScorer

SETS = {"movielens": "movielens-100k", "steam": "llara-steam", "lastfm": "llara-lastfm"}
FILES = [f"{kind}_{data}" for data in ("movielens", "steam") for kind in ("sasrec", "gru", "caser")] + ["sasrec_lastfm"]


def set_of(name):
    return SETS[name.split("_")[1]]


@pytest.mark.data_set("weights-llara")
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.data_set(set_of(name))) for name in FILES])
def test_the_authors_weights_give_the_golden_answers(name, tmp_path):
    weights, data = DATA / "weights-llara" / f"{name}.safetensors", DATA / set_of(name)
    assert main(["convert", str(weights), str(data), str(tmp_path / name)]) == 0
    golden, bundle = load_file(weights.with_suffix(".golden.safetensors")), Bundle(tmp_path / name)
    scorer = BundleScorer(bundle)
    histories = [row[:length].astype(np.int64) for row, length in zip(golden["seq"], golden["len"])]
    assert np.abs(scorer.encode.states(histories) - golden["hidden"]).max() <= 1e-4
    assert np.abs(scorer(histories) - golden["scores"]).max() <= 1e-4
    one_by_one = np.stack([scorer([history])[0] for history in histories])
    assert np.abs(one_by_one - golden["scores"]).max() <= 1e-4
    assert bundle.strings("titles") and bundle.manifest["spaces"]["scores"]["bias"] is True
    assert str(weights.parent) not in json.dumps(bundle.manifest)


@pytest.mark.oneiro
@pytest.mark.data_set("weights-llara")
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.data_set(set_of(name))) for name in FILES])
def test_oneiro_gives_the_golden_answers_of_the_authors_weights(name, tmp_path):
    """Every score of the catalog, after each history."""
    weights, data = DATA / "weights-llara" / f"{name}.safetensors", DATA / set_of(name)
    assert main(["convert", str(weights), str(data), str(tmp_path / name)]) == 0
    golden = load_file(weights.with_suffix(".golden.safetensors"))
    found = scores_by_oneiro(Bundle(tmp_path / name), [row[:length] for row, length in zip(golden["seq"], golden["len"])])
    assert found.shape == golden["scores"].shape
    assert np.abs(found - golden["scores"]).max() <= 1e-4


@pytest.fixture
def published(tmp_path, network):
    """Files in the authors' form, their Caser's filters in their order of axes."""

    def make(kind):
        made = network(kind="gru4rec" if kind == "gru" else kind, width=16, window=10, blocks=1, separate=True)
        back = {here: there for there, here in NAMES.items()}
        tensors = {}
        for name, tensor in made.state_dict().items():
            layer, part = name.rsplit(".", 1)
            value = tensor.numpy()
            if layer.startswith("horizontal") and part == "weight":
                value = value.swapaxes(1, 2)[:, None]
            tensors[f"{back[layer]}.{part}"] = np.ascontiguousarray(value)
        save_file(tensors, tmp_path / "x.safetensors")
        entry = {"file": "x.safetensors", "architecture": kind, "items": 30, "hidden": 16, "max_len": 10}
        (tmp_path / "models.json").write_text(json.dumps({"x": entry}))
        return tmp_path / "x.safetensors", made, tensors

    return make


@pytest.mark.parametrize("kind", ["sasrec", "gru", "caser"])
def test_every_tensor_finds_its_place(published, kind):
    path, made, _ = published(kind)
    found = network_of(path, described(path)).state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in made.state_dict().items())


def test_foreign_weights_are_explained(published, tmp_path):
    path, _, tensors = published("gru")
    entry = described(path)
    save_file(tensors | {"extra.weight": np.zeros(1)}, path)
    with pytest.raises(Problem, match="`extra.weight` belongs to no layer of GRU4Rec"):
        network_of(path, entry)
    save_file({name: tensor for name, tensor in tensors.items() if name != "s_fc.bias"}, path)
    with pytest.raises(Problem, match="head.bias"):
        network_of(path, entry)
    with pytest.raises(Problem, match="does not describe y"):
        described(tmp_path / "y.safetensors")
