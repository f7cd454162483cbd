"""The encoder graph against PyTorch, alone and in batches."""

import numpy as np
import onnx
import onnxruntime
import pytest

from oneiro_models.bundle import Bundle, Catalog
from oneiro_models.encoder import bundled_network, encoder_graph
from oneiro_models.export import Description, Encoder, check, finish, torch_states, write
from oneiro_models.inference import BundleScorer
from oneiro_models.networks import ENCODERS
from oneiro_models.train import Scorer


def session(tmp_path, network):
    model, weights = encoder_graph(network, "encoder.weights")
    (tmp_path / "encoder.onnx").write_bytes(model)
    (tmp_path / "encoder.weights").write_bytes(weights)
    onnx.checker.check_model(str(tmp_path / "encoder.onnx"))
    return onnxruntime.InferenceSession(str(tmp_path / "encoder.onnx"), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("kind", list(ENCODERS))
def test_a_batch_of_different_lengths_equals_pytorch(tmp_path, network, kind, blocks):
    network = network(kind=kind, blocks=blocks)
    generator = np.random.default_rng(3)
    histories = [generator.permutation(30)[:length] for length in (1, 8, 0, 3, 5)]
    table, empty = network.table.detach().numpy(), network.empty
    empty = np.zeros(16, np.float32) if empty is None else empty.detach().numpy()
    rows = np.tile(empty, (len(histories), 8, 1))
    for row, history in zip(rows, histories):
        row[: len(history)] = table[history]
    length = np.array([max(len(history), 1) for history in histories])
    found = session(tmp_path, network).run(None, {"rows": rows, "length": length})[0]
    expected = torch_states(network, histories)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    if kind == "sasrec":
        assert (found[2] == network.norm_3.bias.detach().numpy()).all()


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("kind", list(ENCODERS))
def test_weights_are_read_back_as_they_were(tmp_path, network, kind, blocks, separate):
    before, about = network(kind=kind, blocks=1 if kind == "caser" else blocks, separate=separate), Description("new", "", {})
    catalog = Catalog([f"item-{item}" for item in range(30)], counts=np.arange(1, 31))
    finish(write(tmp_path / "new", about, catalog, before, np.zeros(30, bool)), about, before)
    after = bundled_network(Bundle(tmp_path / "new"))
    assert after.shape == before.shape
    for name, tensor in before.state_dict().items():
        if not name.endswith("key.bias"):  # cannot change a result, so it is not stored
            assert (after.state_dict()[name] == tensor).all(), name


def test_weights_are_external_and_aligned(tmp_path, network):
    session(tmp_path, network(width=64))
    model = onnx.load(tmp_path / "encoder.onnx", load_external_data=False)
    external = {}
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            external[tensor.name] = {entry.key: entry.value for entry in tensor.external_data}
        else:
            assert len(tensor.raw_data) <= 1024, tensor.name
    assert "blocks.0.query.weight" in external
    assert all(entry["location"] == "encoder.weights" for entry in external.values())
    assert all(int(entry["offset"]) % 64 == 0 for entry in external.values())


@pytest.mark.parametrize("name", ["tiny", "demo"])
def test_shipped_encoders_equal_pytorch(models, name):
    bundle = Bundle(models / name)
    for encoder in bundle.manifest["encoders"]:
        assert check(bundle, bundled_network(bundle, encoder), encoder) <= 1e-5


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("kind", list(ENCODERS))
def test_a_bundle_of_each_network_scores_as_pytorch_does(tmp_path, network, kind, separate):
    network, cold = network(kind=kind, separate=separate), np.arange(30) == 7
    about = Description("new", "", {})
    catalog = Catalog([f"item-{item}" for item in range(30)], counts=np.arange(1, 31))
    finish(write(tmp_path / "new", about, catalog, network, cold), about, network)
    bundle = Bundle(tmp_path / "new")
    contract = bundle.manifest["encoders"][kind]
    assert contract["length"] == ("fixed" if kind == "caser" else "dynamic")
    assert contract["empty_row"] == ("stored" if kind in ("sasrec", "gru4rec") else "zero")
    assert bundle.manifest["spaces"][contract["output"]].get("bias", False) == (separate or kind == "caser")
    generator = np.random.default_rng(1)
    histories = [generator.permutation(30)[:length] for length in (1, 0, 12, 8, 3)]
    found, expected = BundleScorer(bundle)(histories), Scorer(network, cold)(histories)
    assert (np.isneginf(found) == np.isneginf(expected)).all() and np.isneginf(found[:, 7]).all()
    warm = ~cold
    assert np.abs(found[:, warm] - expected[:, warm]).max() <= 1e-5 * np.abs(expected[:, warm]).max()


def test_cold_items_are_passed_over(models):
    bundle = Bundle(models / "tiny")
    cold = int(np.flatnonzero(bundle.space("items")["cold"])[0])
    encode = Encoder(bundle, "sasrec")
    assert (encode(np.array([1, cold, 2])) == encode(np.array([1, 2]))).all()
