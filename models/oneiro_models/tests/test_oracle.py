"""Oracles in bundles: written, checked, read back, and answered alike by PyTorch and ONNX Runtime."""

import json
from copy import deepcopy

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save
from test_bundles import schema  # noqa: F401

from oneiro_models import Problem
from oneiro_models import golden as goldens
from oneiro_models.__main__ import main
from oneiro_models.bundle import Bundle
from oneiro_models.convert import DREAMS, NAMES, dreamrec_of
from oneiro_models.data import read
from oneiro_models.diffusion import Schedule
from oneiro_models.inference import Oracle, OracleScorer
from oneiro_models.networks import DreamRec, Shape
from oneiro_models.noise import gaussian
from oneiro_models.oracle import bundled_oracle, check_oracle
from oneiro_models.tiny import dreaming, write_tiny_oracle


@pytest.fixture(scope="module")
def bundle(models):
    return Bundle(models / "tiny-oracle")


@pytest.fixture(scope="module")
def kept(golden):
    return load_file(golden / "tiny-oracle.safetensors")


def noise_of(kept, rows):
    return lambda t: gaussian(kept["seeds"][:rows], t, 0, 16)


def test_the_tiny_oracles_are_reproduced(bundle, tmp_path):
    write_tiny_oracle(tmp_path / "tiny-oracle")
    made = Bundle(tmp_path / "tiny-oracle")
    for name, part in bundle.manifest["parts"].items():
        # Those of the oracles, and the steps in their denoisers, hold what a processor may round differently.
        if not name.endswith(("oracle", "denoiser.weights")):
            assert part == made.manifest["parts"][name], name
    for oracle in bundle.manifest["oracles"].values():
        expected = bundle.tensors(oracle["part"]) | bundle.graph(oracle["graph"])[1]
        for name, values in (made.tensors(oracle["part"]) | made.graph(oracle["graph"])[1]).items():
            np.testing.assert_allclose(values, expected[name], atol=1e-6 * np.abs(expected[name]).max(), err_msg=name)


def test_their_manifest_obeys_the_schema(bundle, schema):  # noqa: F811
    schema.validate(bundle.manifest)
    for place, value in (("part", 3), ("guidance", -1), ("encoder", None), ("colour", "red")):
        manifest = deepcopy(bundle.manifest)
        manifest["oracles"]["affine"][place] = value
        assert not schema.is_valid(manifest), place
    manifest = deepcopy(bundle.manifest)
    del manifest["recipe"]["steps"][0]["oracle"]
    assert not schema.is_valid(manifest)


def test_golden_oracles_are_reproduced(models, kept, tmp_path):
    goldens.golden_oracles(models / "tiny-oracle", tmp_path / "oracle.safetensors")
    made = load_file(tmp_path / "oracle.safetensors")
    assert made.keys() == kept.keys()
    for tensor, found in made.items():
        if found.dtype.kind == "u":
            assert (found == kept[tensor]).all(), tensor
        else:
            assert np.abs(found - kept[tensor]).max() <= 1e-4 * np.abs(kept[tensor]).max(), tensor


@pytest.mark.parametrize("name", ["affine", "mlp2"])
def test_onnx_runtime_goes_through_the_golden_chains(bundle, kept, name):
    oracle, states = Oracle(bundle, name), kept[f"{name}.states"]
    found, expected = oracle.by_graph(states, noise_of(kept, len(states))), kept[f"{name}.chain"][:, 0]
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert (noise_of(kept, 1)(7) == kept[f"{name}.noise"][7]).all()


def test_the_recurrence_goes_through_the_golden_chains(bundle, kept):
    oracle, states = Oracle(bundle, "affine"), kept["affine.states"]
    found = oracle.by_recurrence(states, noise_of(kept, len(states)))
    assert np.abs(found - kept["affine.chain"][:, 0]).max() <= 1e-4 * np.abs(found).max()
    assert np.abs(oracle(states, kept["seeds"], 2) - kept["affine.collapsed"][:, 2]).max() <= 1e-5 * np.abs(found).max()


def test_the_golden_rankings_are_the_bundles(bundle, kept):
    histories = np.split(kept["histories"].astype(np.int64), kept["lengths"].cumsum()[:-1])
    assert {0, 1} < set(kept["lengths"].tolist()) and kept["lengths"].max() > 5
    scores = OracleScorer(bundle, "affine")(histories, kept["seeds"])[0]
    for row, history in enumerate(histories):
        scores[row, history] = -np.inf
        assert (np.argsort(-scores[row], kind="stable")[:10] == kept["affine.top_items"][row]).all()


def test_draws_are_merged_by_turns():
    assert goldens.merged([[1, 2, 3], [1, 4, 2], [5, 1, 6]]) == [1, 4, 5, 2, 6, 3]


@pytest.mark.parametrize("name", ["affine", "mlp2"])
def test_an_oracle_is_read_back_from_its_bundle(bundle, name):
    check_oracle(bundle, name, bundled_oracle(bundle, name))


@pytest.mark.parametrize(
    "tensor, message",
    [
        ("affine.steps", "the recurrence under recorded noise differs"),
        ("collapsed.condition", "the collapsed mean differs"),
        ("collapsed.noise", "standard errors off"),
    ],
)
def test_a_part_that_is_not_the_networks_is_refused(bundle, tmp_path, tensor, message):
    network = bundled_oracle(bundle, "affine")
    for file in bundle.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    part = bundle.tensors("oracle")
    part[tensor] = part[tensor] * np.float32(1.2)
    (tmp_path / "oracle.safetensors").write_bytes(save(part))
    with pytest.raises(Problem, match=message):
        check_oracle(Bundle(tmp_path), "affine", network)


def test_a_chain_that_runs_away_is_refused(bundle):
    network = bundled_oracle(bundle, "affine")
    network.denoiser.layers[0].weight.data *= 1e6
    with pytest.raises(Problem, match="runs away"):
        check_oracle(bundle, "affine", network)


@pytest.fixture
def checkpoint(tmp_path):
    """A state dict as DreamRec's code has it, and the network that it is of."""

    def make(kind, **changed):
        network = dreaming(DreamRec(Shape(12, 16, 10), Schedule.of("exp", 40), kind), np.random.default_rng(1))
        back = {here: there for there, here in (NAMES | DREAMS).items()}
        state = {}
        for name, tensor in network.state_dict().items():
            layer, _, part = name.rpartition(".")
            state[back.get(name) or f"{back[layer]}.{part}"] = tensor
        for layer in ("feed_forward.w_1.weight", "feed_forward.w_2.weight"):
            state[layer] = state[layer][:, :, None]
        state["none_embedding.weight"] = state["none_embedding.weight"][None]
        unused = {"s_fc.weight": torch.zeros(12, 16), "diff_mlp.0.bias": torch.zeros(32), "emb_mlp.1.bias": torch.zeros(32)}
        torch.save(state | unused | changed, tmp_path / "tenc.pt")
        return tmp_path / "tenc.pt", network

    return make


@pytest.mark.parametrize("kind", ["mlp1", "mlp2"])
def test_checkpoints_of_the_authors_code_are_taken(checkpoint, tmp_path, kind):
    path, network = checkpoint(kind)
    found = dreamrec_of(path, network.schedule)
    for (name, one), (_, other) in zip(found.state_dict().items(), network.state_dict().items()):
        assert torch.equal(one, other), name
    lines = [f"user-{user},item-{(user + step) % 12:02d},{1000 * step + user}" for user in range(30) for step in range(5)]
    (tmp_path / "events.csv").write_text("user,item,time\n" + "\n".join(lines) + "\n")
    options = ["--schedule", "exp", "--diffusion-steps", "40", "--guidance", "1"]
    assert main(["convert-dreamrec", str(path), str(tmp_path / "events.csv"), str(tmp_path / "out"), *options]) == 0
    bundle = Bundle(tmp_path / "out")
    assert bundle.manifest["oracles"]["dreamrec"]["guidance"] == 1
    assert bundle.manifest["recipe"]["steps"][0] == {"retrieve": "oracle", "oracle": "dreamrec", "count": 12}
    assert "collapsed.noise" in bundle.tensors("oracle") or kind == "mlp2"
    assert str(tmp_path) not in json.dumps(bundle.manifest)


@pytest.mark.parametrize("name", ["affine", "mlp2"])
def test_a_dream_is_drawn(models, tmp_path, capsys, name):
    ids = Bundle(models / "tiny-oracle").strings("ids")
    seen = ["--seen", ids[3], "--seen", ids[8]]
    command = ["picture", str(models / "tiny-oracle"), str(tmp_path / "dream.png"), "--oracle", name, *seen]
    assert main(command) == 0
    assert (tmp_path / "dream.png").stat().st_size > 20_000
    assert main([*command, "--seen", "film-99"]) == 1 and main([*command, "--oracle", "other"]) == 1
    assert main(["picture", str(models / "tiny"), str(tmp_path / "dream.png")]) == 1
    shown = capsys.readouterr()
    assert len(shown.out.split(": ")[1].split(", ")) == 5 and not {ids[3], ids[8]} & set(shown.out.split())
    assert "has no item `film-99`" in shown.err and "no oracle `other`; it has affine, mlp2" in shown.err and "tiny has no oracle" in shown.err


def test_what_is_no_checkpoint_is_explained(checkpoint, tmp_path):
    schedule = Schedule.of("exp", 40)
    with pytest.raises(Problem, match="no such checkpoint"):
        dreamrec_of(tmp_path / "none.pt", schedule)
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(Problem, match="is not a checkpoint of tensors"):
        dreamrec_of(tmp_path / "text.pt", schedule)
    with pytest.raises(Problem, match="`lstm.weight` belongs to no layer"):
        dreamrec_of(checkpoint("mlp1", **{"lstm.weight": torch.zeros(1)})[0], schedule)
    with pytest.raises(Problem, match="unconditional"):
        dreamrec_of(checkpoint("mlp1", **{"none_embedding.weight": torch.zeros(3)})[0], schedule)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(Problem, match="is no state dict of DreamRec"):
        dreamrec_of(tmp_path / "other.pt", schedule)


@pytest.mark.parametrize("denoiser", ["mlp1", "mlp2"])
def test_from_events_to_an_oracle_on_the_command_line(tmp_path, capsys, denoiser):
    """People walk round a circle of 12 items, from where they happen to start."""
    lines = [f"user-{user},item-{(user + step) % 12:02d},{1000 * step + user}" for user in range(80) for step in range(9)]
    events, run, out = (str(tmp_path / name) for name in ("events.csv", "run", "bundle"))
    (tmp_path / "events.csv").write_text("user,item,time\n" + "\n".join(lines) + "\n")
    few = ["--network", "dreamrec", "--denoiser", denoiser, "--width", "16", "--window", "4", "--batch", "32", "--seen", "allow"]
    few += ["--diffusion-steps", "20", "--learning-rate", "0.01", "--contrast", "1", "--scale", "0.1", "--validate-every", "4", "--guidance", "0.5"]
    assert main(["train", events, run, *few, "--epochs", "8"]) == 0
    curve = json.loads(next((tmp_path / "run").glob("*.result.json")).read_text())["figures"]
    found = next(figures for method, figures in curve.items() if method.startswith("DreamRec"))
    assert found["HR@5"]["mean"] > 0.8
    assert main(["export", events, run, out]) == 0
    assert main(["evaluate", events, out, "--seen", "allow"]) == 0
    assert "| dreamrec of bundle bundle |" in capsys.readouterr().out
    data = read(tmp_path / "events.csv")
    assert Bundle(out).manifest["provenance"]["metrics"]["HR@5"] == pytest.approx(found["HR@5"]["mean"], abs=1e-4)
    assert len(Bundle(out).catalog["ids.offsets"]) == data.items + 1
    again = str(tmp_path / "again")
    assert main(["train", events, again, *few, "--epochs", "4"]) == 0
    assert main(["train", events, again, "--resume"]) == 0
    state, whole = (torch.load(tmp_path / name / "last.pt", weights_only=True)["history"] for name in ("again", "run"))
    assert state == whole[:4]


def test_options_of_another_network_are_refused(tmp_path, capsys):
    (tmp_path / "events.csv").write_text("user,item,time\n" + "".join(f"a,{item},{item}\n" for item in range(30)))
    assert main(["train", str(tmp_path / "events.csv"), str(tmp_path / "run"), "--guidance", "2"]) == 1
    assert "--guidance is an option of dreamrec, not of sasrec" in capsys.readouterr().err
