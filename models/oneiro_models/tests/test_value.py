"""Q-networks in bundles: by ONNX Runtime as by PyTorch."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from test_golden import histories_of

from oneiro_models import Problem
from oneiro_models.bundle import Bundle, Catalog
from oneiro_models.data import read
from oneiro_models.export import Description, complete, export, write
from oneiro_models.inference import QNetwork, scorer_of
from oneiro_models.networks import BACKBONES, Shape
from oneiro_models.options import Options
from oneiro_models.tiny import draw
from oneiro_models.train import Scorer, Training, load_run
from oneiro_models.value import check_values


@pytest.mark.parametrize("name", ["mcrl", "separate", "direct"])
def test_onnx_runtime_gives_the_golden_values(models, golden, name):
    kept, bundle = load_file(golden / "tiny-values.safetensors"), Bundle(models / "tiny-values")
    histories, contract = histories_of(kept), bundle.manifest["q_networks"][name]
    found = QNetwork(bundle, name)(histories)
    candidates = kept["candidates"].astype(int)
    expected = kept[f"q.{name}.values"]
    ranked = ~np.isnan(expected)
    assert ranked.all() == (name == "direct")
    apart = np.abs(np.take_along_axis(found, candidates, 1) - expected)[ranked].max()
    assert apart <= 1e-5 * np.abs(expected[ranked]).max()
    for scores, values, may, blend in zip(kept["scores"], expected, ranked, kept[f"q.{name}.blended"]):
        one, other = ((of[may] - of[may].mean(dtype=float)) / of[may].std(dtype=float) for of in (scores, values))
        assert blend[may] == pytest.approx((1 - contract["weight"]) * one + contract["weight"] * other, abs=1e-5)
        assert np.isnan(blend[~may]).all()


def made(kind, separate, **options):
    torch.manual_seed(0)
    network = BACKBONES[kind].chosen(Shape(30, 16, 8, 2, separate), Options.chosen("mcrl", backbone=kind, **options)).eval()
    draw(network, np.random.default_rng(5))
    return network


@pytest.mark.parametrize(("dtype", "exact"), [("f32", False), ("i8", True), ("f16", False)])
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("kind", list(BACKBONES))
def test_a_bundle_of_each_network_values_as_pytorch_does(tmp_path, kind, separate, dtype, exact):
    network, cold, about = made(kind, separate), np.arange(30) == 7, Description("new", "", {})
    catalog = Catalog([f"item-{item}" for item in range(30)], counts=np.arange(1, 31))
    written = write(tmp_path / "new", about, catalog, network, cold, dtype, exact)
    if dtype == "f32":
        complete(written, about, {"mcrl": network})
    else:  # smaller rows are no longer the network's
        written.finish(similar="neighbours", seen="allow", recipe={"steps": []})
    bundle = Bundle(tmp_path / "new")
    contract = bundle.manifest["q_networks"]["mcrl"]
    alone = separate or kind == "caser"
    assert contract.get("graph") == (None if alone else "q") and contract["output"] == "value" and contract["encoder"] == "mcrl"
    space = bundle.manifest["spaces"]["value"]
    assert space["dtype"] == dtype and space.get("bias", False) == alone and ("exact" in space) == exact
    assert bundle.space("value")["cold"].tolist() == cold.tolist()
    histories = [np.array([1, 2, 3]), np.arange(10, 25), np.array([], int)]
    if dtype == "f32":
        check_values(bundle, "mcrl", network, histories)
    states = QNetwork(bundle, "mcrl").encode.states(histories)
    found = QNetwork(bundle, "mcrl")(histories)[:, ~cold]
    expected = network.values(torch.tensor(states)).detach().numpy()[:, ~cold]
    assert np.abs(found - expected).max() <= {"f32": 1e-5, "f16": 2e-3, "i8": 2e-2}[dtype] * np.abs(expected).max()


def test_another_network_is_refused(tmp_path):
    about, catalog = Description("new", "", {}), Catalog([f"item-{item}" for item in range(30)])
    network = made("sasrec", False)
    complete(write(tmp_path / "new", about, catalog, network, np.zeros(30, bool)), about, {"mcrl": network})
    with torch.no_grad():
        network.value.bias += 0.01
    with pytest.raises(Problem, match="Q-network `mcrl` differs from PyTorch by"):
        check_values(Bundle(tmp_path / "new"), "mcrl", network, [np.array([1, 2])])


@pytest.mark.parametrize(
    ("by", "steps"),
    [
        ("logits", [{"retrieve": "encoder", "encoder": "mcrl", "count": 9}]),
        ("q", [{"retrieve": "q_network", "q_network": "mcrl", "count": 9}]),
        (
            "blend",
            [
                {"retrieve": "encoder", "encoder": "mcrl", "count": 9},
                {"rank": "q_network", "q_network": "mcrl", "count": 9, "weight": 0.25},
            ],
        ),
    ],
)
def test_the_recipe_ranks_as_was_asked(tmp_path, by, steps):
    lines = [f"user-{user},item-{(user + step) % 9},{1000 * step + user}" for user in range(60) for step in range(6)]
    (tmp_path / "events.csv").write_text("user,item,time\n" + "\n".join(lines) + "\n")
    data = read(tmp_path / "events.csv")
    few = {"window": 5, "width": 8, "epochs": 1, "batch": 64, "head": "shared"}
    Training(data, tmp_path / "run", Options.chosen("mcrl", **few), "cpu").run()
    export(data, [tmp_path / "run"], tmp_path / "new", "new", "", by=by, blend=0.25)
    bundle, (network, _) = Bundle(tmp_path / "new"), load_run(tmp_path / "run", data, by, 0.25)
    past = [np.array([1, 2, 3]), np.array([8, 0]), np.array([5, 6, 7, 8, 0, 1, 2])]
    found, expected = scorer_of(bundle)(past), Scorer(network, data.cold(), data.seen)(past)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)
    manifest = bundle.manifest
    assert manifest["recipe"]["steps"] == steps and manifest["q_networks"]["mcrl"]["weight"] == 0.25
    assert f"--by {by} --blend 0.25" in manifest["provenance"]["command"]


def test_a_network_without_values_has_no_q_network(tmp_path):
    network = made("sasrec", False, value=0.0, conservative=0.0)
    about, catalog = Description("new", "", {}), Catalog([f"item-{item}" for item in range(30)])
    complete(write(tmp_path / "new", about, catalog, network, np.zeros(30, bool)), about, {"mcrl": network})
    manifest = Bundle(tmp_path / "new").manifest
    assert "q_networks" not in manifest and "value" not in manifest["spaces"] and "mcrl" in manifest["encoders"]
