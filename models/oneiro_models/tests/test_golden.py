"""The golden vectors: made by their command, and answered alike by ONNX Runtime."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from oneiro_models.bundle import Bundle
from oneiro_models.export import Encoder
from oneiro_models.golden import golden as write_golden

both = pytest.mark.parametrize("name", ["tiny", "demo"])


@both
def test_golden_vectors_are_reproduced(models, golden, tmp_path, name):
    write_golden(models / name, tmp_path / f"{name}.safetensors")
    made, kept = load_file(tmp_path / f"{name}.safetensors"), load_file(golden / f"{name}.safetensors")
    assert made.keys() == kept.keys()
    for tensor in ("histories", "lengths", "top_items"):
        assert (made[tensor] == kept[tensor]).all(), tensor
    for tensor in ("states", "top_scores"):  # processors round differently
        assert np.abs(made[tensor] - kept[tensor]).max() <= 1e-5 * np.abs(kept[tensor]).max(), tensor


@both
def test_golden_histories_cover_what_can_happen(models, golden, name):
    kept, bundle = load_file(golden / f"{name}.safetensors"), Bundle(models / name)
    items = bundle.manifest["catalog"]["items"]
    histories, lengths = kept["histories"], kept["lengths"]
    assert histories.shape == (100, 60) and (lengths == 0).sum() == 1
    assert lengths.max() > bundle.manifest["encoders"]["sasrec"]["window"]
    cold = np.append(bundle.space("items")["cold"], 0)
    assert cold[histories].any()
    for history, length in zip(histories, lengths):
        real = history[:length]
        assert len(set(real.tolist())) == length and (real < items).all() and (history[length:] == items).all()


@both
def test_onnx_runtime_gives_the_golden_answers(models, golden, name):
    kept, bundle = load_file(golden / f"{name}.safetensors"), Bundle(models / name)
    encode, space = Encoder(bundle, "sasrec"), bundle.space("items")
    for row, length in enumerate(kept["lengths"]):
        history = kept["histories"][row, :length]
        state = encode(history)
        assert np.abs(state - kept["states"][row]).max() <= 1e-5 * np.abs(kept["states"][row]).max()
        scores = np.where(space["cold"] == 1, -np.inf, space["rows"] @ state)
        scores[history] = -np.inf
        best = np.argsort(-scores, kind="stable")[:20]
        assert (best == kept["top_items"][row]).all()
        assert scores[best] == pytest.approx(kept["top_scores"][row], rel=1e-4, abs=1e-4)
