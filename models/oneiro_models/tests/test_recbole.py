"""Checkpoints of RecBole: read without running anything of them, and answered as RecBole answers."""

import os
from math import erf, sqrt
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import scores_by_oneiro

from oneiro_models import Problem
from oneiro_models.__main__ import main
from oneiro_models.bundle import Bundle
from oneiro_models.inference import BundleScorer
from oneiro_models.recbole import read_checkpoint

ITEMS, WIDTH, WINDOW, INNER, HIDDEN, HEADS = 21, 8, 6, 12, 10, 2
SETTINGS = {
    "SASRec": dict(n_layers=2, n_heads=HEADS, hidden_size=WIDTH, inner_size=INNER, hidden_act="gelu", layer_norm_eps=1e-12),
    "GRU4Rec": dict(num_layers=1, hidden_size=HIDDEN, embedding_size=WIDTH),
}


class Settings:
    """Has RecBole's way of keeping them."""

    def __init__(self, kind):
        self.final_config_dict = {"model": kind, "MAX_ITEM_LIST_LENGTH": WINDOW, **SETTINGS[kind]}


def weights_of(kind):
    shapes = {"item_embedding.weight": (ITEMS, WIDTH)}
    if kind == "GRU4Rec":
        shapes |= {"gru_layers.weight_ih_l0": (3 * HIDDEN, WIDTH), "gru_layers.weight_hh_l0": (3 * HIDDEN, HIDDEN)}
        shapes |= {"dense.weight": (WIDTH, HIDDEN), "dense.bias": (WIDTH,)}
    else:
        shapes |= {"position_embedding.weight": (WINDOW, WIDTH), "LayerNorm.weight": (WIDTH,), "LayerNorm.bias": (WIDTH,)}
        for layer in range(2):
            inner = {f"multi_head_attention.{name}": (WIDTH, WIDTH) for name in ("query", "key", "value", "dense")}
            inner |= {"feed_forward.dense_1": (INNER, WIDTH), "feed_forward.dense_2": (WIDTH, INNER)}
            inner |= {f"{part}.LayerNorm": (WIDTH,) for part in ("multi_head_attention", "feed_forward")}
            for name, shape in inner.items():
                shapes |= {f"trm_encoder.layer.{layer}.{name}.weight": shape, f"trm_encoder.layer.{layer}.{name}.bias": shape[:1]}
    generator = torch.Generator().manual_seed(4)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def saved(path, kind, **changes):
    content = {"config": Settings(kind), "epoch": 3, "state_dict": weights_of(kind), "other_parameter": None}
    torch.save(content | changes, path, pickle_protocol=4)
    return path


def naive_gru(weights, history):
    h = np.zeros(HIDDEN)
    for x in weights["item_embedding.weight"][history]:
        read, kept = weights["gru_layers.weight_ih_l0"] @ x, weights["gru_layers.weight_hh_l0"] @ h
        r, z = (1 / (1 + np.exp(-(read[part] + kept[part]))) for part in (slice(HIDDEN), slice(HIDDEN, 2 * HIDDEN)))
        h = (1 - z) * np.tanh(read[2 * HIDDEN :] + r * kept[2 * HIDDEN :]) + z * h
    return weights["dense.weight"] @ h + weights["dense.bias"]


def naive_sasrec(weights, history):
    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def dense(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    x = norm(weights["item_embedding.weight"][history] + weights["position_embedding.weight"][: len(history)], "LayerNorm")
    for layer in range(2):
        attention, feed = (f"trm_encoder.layer.{layer}.{part}" for part in ("multi_head_attention", "feed_forward"))
        q, k, v = (dense(x, f"{attention}.{name}") for name in ("query", "key", "value"))
        context = np.zeros_like(x)
        for head in np.split(np.arange(WIDTH), HEADS):
            for place in range(len(x)):
                likeness = np.exp(k[: place + 1, head] @ q[place, head] / sqrt(len(head)))
                context[place, head] = likeness / likeness.sum() @ v[: place + 1, head]
        y = norm(x + dense(context, f"{attention}.dense"), f"{attention}.LayerNorm")
        inner = dense(y, f"{feed}.dense_1")
        inner *= (1 + np.vectorize(erf)(inner / sqrt(2))) / 2
        x = norm(y + dense(inner, f"{feed}.dense_2"), f"{feed}.LayerNorm")
    return x[-1]


def histories():
    generator = np.random.default_rng(2)
    return [generator.integers(1, ITEMS, length) for length in (1, 2, 5, 6, 3)]


@pytest.mark.oneiro
@pytest.mark.parametrize(("kind", "naive"), [("SASRec", naive_sasrec), ("GRU4Rec", naive_gru)])
def test_a_checkpoint_scores_by_the_formulas(tmp_path, kind, naive):
    path = saved(tmp_path / "saved.pth", kind)
    (tmp_path / "tokens.txt").write_text("".join(f"film {item}\n" for item in range(1, ITEMS)))
    assert main(["convert-recbole", str(path), str(tmp_path / "out"), "--tokens", str(tmp_path / "tokens.txt")]) == 0
    bundle = Bundle(tmp_path / "out")
    weights = {name: tensor.double().numpy() for name, tensor in weights_of(kind).items()}
    expected = np.stack([weights["item_embedding.weight"][1:] @ naive(weights, history) for history in histories()])
    asked = [history - 1 for history in histories()]
    for found in (BundleScorer(bundle)(asked), scores_by_oneiro(bundle, asked)):
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    assert bundle.strings("ids")[:2] == ["film 1", "film 2"]


@pytest.mark.oneiro
@pytest.mark.package("recbole")
@pytest.mark.parametrize("kind", ["SASRec", "GRU4Rec"])
def test_a_checkpoint_scores_as_recbole_itself(tmp_path, kind):
    """With recbole 1.2.1 installed beside this package."""
    import recbole.model.sequential_recommender as theirs

    class Config(dict):
        def __missing__(self, key):
            return None

    config = Config(
        Settings(kind).final_config_dict,
        USER_ID_FIELD="user", ITEM_ID_FIELD="item", LIST_SUFFIX="_list", ITEM_LIST_LENGTH_FIELD="length", NEG_PREFIX="neg_",
        device="cpu", loss_type="CE", hidden_dropout_prob=0.5, attn_dropout_prob=0.5, dropout_prob=0.5, initializer_range=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    model = getattr(theirs, kind)(config, SimpleNamespace(num=lambda field: ITEMS)).eval()
    path = saved(tmp_path / "saved.pth", kind, state_dict=model.state_dict())
    assert main(["convert-recbole", str(path), str(tmp_path / "out")]) == 0
    asked = torch.zeros(5, WINDOW, dtype=torch.long)
    for row, history in zip(asked, histories()):
        row[: len(history)] = torch.tensor(history)
    lengths = torch.tensor([len(history) for history in histories()])
    with torch.inference_mode():
        expected = model.full_sort_predict({"item_list": asked, "length": lengths})[:, 1:].numpy()
    bundle, histories_here = Bundle(tmp_path / "out"), [history - 1 for history in histories()]
    for found in (BundleScorer(bundle)(histories_here), scores_by_oneiro(bundle, histories_here)):
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


class Burglar:
    """What a hostile pickle does when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_of_a_checkpoint_runs(tmp_path):
    path = saved(tmp_path / "saved.pth", "GRU4Rec", other_parameter=Burglar(tmp_path / "broken-in"))
    _, weights = read_checkpoint(path)
    assert not (tmp_path / "broken-in").exists()
    assert (weights["dense.bias"] == weights_of("GRU4Rec")["dense.bias"].numpy()).all()
    torch.load(path, weights_only=False)
    assert (tmp_path / "broken-in").exists()


def test_what_is_no_checkpoint_is_explained(tmp_path):
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(Problem, match="is not a RecBole checkpoint"):
        read_checkpoint(tmp_path / "text.pth")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(Problem, match="is not a RecBole checkpoint"):
        read_checkpoint(tmp_path / "other.pth")
    with pytest.raises(Problem, match="no such checkpoint"):
        read_checkpoint(tmp_path / "none.pth")
    few = saved(tmp_path / "few.pth", "GRU4Rec")
    (tmp_path / "tokens.txt").write_text("only one\n")
    assert main(["convert-recbole", str(few), str(tmp_path / "out"), "--tokens", str(tmp_path / "tokens.txt")]) == 1
