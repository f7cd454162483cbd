"""Graphs optimised ahead of time: the same answers, the rules of the bundle kept."""

import json
import shutil

import jsonschema
import numpy as np
import onnx
import pytest

from oneiro_models.bundle import Bundle
from oneiro_models.inference import Encoder
from oneiro_models.optimise import optimise


@pytest.fixture
def changed(models, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(models / "tiny", folder)
    return folder, optimise(folder)


def test_the_answers_stay(models, changed):
    folder, changes = changed
    before, after = Bundle(models / "tiny"), Bundle(folder)
    assert "optimised" in changes.values()
    for name in before.manifest["encoders"]:
        old, new = Encoder(before, name), Encoder(after, name)
        for length in range(old.window + 1):
            history = np.arange(length) * 3 + 1
            np.testing.assert_allclose(new(history), old(history), rtol=0, atol=1e-5)


def test_the_manifest_says_so_and_obeys_the_schema(models, changed):
    folder, changes = changed
    manifest = Bundle(folder).manifest
    jsonschema.Draft202012Validator(json.loads((models / "bundle.schema.json").read_text(encoding="utf-8"))).validate(manifest)
    for name, change in changes.items():
        assert manifest["graphs"][name].get("optimised", False) == (change == "optimised"), name
    assert set(optimise(folder).values()) <= {"optimised before", *changes.values()} - {"optimised"}


def test_weights_stay_outside_and_aligned(changed):
    folder, changes = changed
    for name in (name for name, change in changes.items() if change == "optimised"):
        model = onnx.load(folder / f"{name}.onnx", load_external_data=False)
        for tensor in model.graph.initializer:
            fields = {entry.key: entry.value for entry in tensor.external_data}
            assert fields == {} or fields["location"] == f"{name}.weights" and int(fields["offset"]) % 64 == 0
            assert len(tensor.raw_data) <= 256


def test_convolutions_are_left_to_the_processor(changed):
    _, changes = changed
    kept = {name for name, change in changes.items() if change.startswith("left as it is: ONNX Runtime lays out its convolutions")}
    assert kept == {"caser.encoder", "nextitnet.encoder"}


def test_weights_that_two_graphs_share_are_left_alone(models, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(models / "tiny", folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["graphs"]["again"] = manifest["graphs"]["gru4rec.encoder"]
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    before = (folder / "gru4rec.encoder.weights").read_bytes()
    changes = optimise(folder)
    assert changes["encoder"] == "optimised"
    assert changes["again"] == changes["gru4rec.encoder"] == "left as it is: another graph has parts of it, too"
    assert (folder / "gru4rec.encoder.weights").read_bytes() == before
