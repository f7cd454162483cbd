"""The golden vectors: made by their command, and answered alike by ONNX Runtime."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from oneiro_models.bundle import Bundle
from oneiro_models.golden import golden as write_golden
from oneiro_models.inference import BundleScorer

each = pytest.mark.parametrize("name", ["tiny", "tiny-values", "demo"])


def histories_of(kept):
    return np.split(kept["histories"].astype(np.int64), kept["lengths"].cumsum()[:-1])


@each
def test_golden_vectors_are_reproduced(models, golden, tmp_path, name):
    write_golden(models / name, tmp_path / f"{name}.safetensors")
    made, kept = load_file(tmp_path / f"{name}.safetensors"), load_file(golden / f"{name}.safetensors")
    assert made.keys() == kept.keys()
    for tensor, found in made.items():
        if found.dtype == np.uint32:
            assert (found == kept[tensor]).all(), tensor
        else:  # processors round differently
            close = 1e-5 * np.nanmax(np.abs(kept[tensor]))
            assert np.allclose(found, kept[tensor], rtol=0, atol=close, equal_nan=True), tensor


@each
def test_golden_histories_cover_what_can_happen(models, golden, name):
    kept, bundle = load_file(golden / f"{name}.safetensors"), Bundle(models / name)
    cold = bundle.space("items")["cold"] == 1
    histories = histories_of(kept)
    assert len(histories) == 100 and (kept["lengths"] == 0).sum() == 1
    assert kept["lengths"].max() > max(encoder["window"] for encoder in bundle.manifest["encoders"].values())
    assert any(len(history) and cold[history].all() for history in histories)
    assert any(cold[history].any() and not cold[history].all() for history in histories)
    assert sum(len(set(history.tolist())) < len(history) for history in histories) > 50
    assert any(target in history for target, history in zip(kept["targets"], histories)) and cold[kept["targets"]].any()


@each
def test_onnx_runtime_gives_the_golden_answers(models, golden, name):
    kept, bundle = load_file(golden / f"{name}.safetensors"), Bundle(models / name)
    for encoder in bundle.manifest["encoders"]:
        scorer = BundleScorer(bundle, encoder)
        states, items, best, ranks = (kept[f"{encoder}.{what}"] for what in ("states", "top_items", "top_scores", "ranks"))
        for row, history in enumerate(histories_of(kept)):
            state, scores, target = scorer.encode(history), scorer([history])[0], kept["targets"][row]
            assert np.abs(state - states[row]).max() <= 1e-5 * np.abs(states[row]).max()
            own, scores[history] = scores[target], -np.inf
            assert (np.argsort(-scores, kind="stable")[:20] == items[row]).all()
            assert scores[items[row]] == pytest.approx(best[row], rel=1e-4, abs=1e-4)
            rank = 0 if np.isneginf(own) else 1 + (np.delete(scores, target) >= own).sum()
            assert rank == ranks[row]
