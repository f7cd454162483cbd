"""Several runs in one bundle."""

import numpy as np
import pytest

from oneiro_models import Problem
from oneiro_models.bundle import Bundle
from oneiro_models.data import read
from oneiro_models.export import export
from oneiro_models.inference import BundleScorer, OracleScorer
from oneiro_models.options import Options
from oneiro_models.train import Scorer, Training, load_run

FEW = {"window": 5, "width": 8, "epochs": 1, "batch": 64, "blocks": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Events, and runs of SASRec, of DreamRec over it as it is, and of MCRL by itself."""
    folder = tmp_path_factory.mktemp("runs")
    lines = [f"user-{user},item-{(user + step) % 9},{1000 * step + user}" for user in range(60) for step in range(6)]
    (folder / "events.csv").write_text("user,item,time\n" + "\n".join(lines) + "\n")
    data = read(folder / "events.csv")
    started = {"start": str(folder / "sasrec"), "fixed": "start", "contrast": 1.0}
    for network, more in (("sasrec", {}), ("dreamrec", started), ("mcrl", {"head": "shared"})):
        Training(data, folder / network, Options.chosen(network, **FEW | more), "cpu").run()
    return data, folder


def test_an_oracle_that_goes_by_an_encoder_of_the_bundle_brings_no_other(runs, tmp_path):
    data, folder = runs
    export(data, [folder / "sasrec", folder / "dreamrec", folder / "mcrl"], tmp_path / "all", "all", "")
    bundle = Bundle(tmp_path / "all")
    manifest = bundle.manifest
    assert list(manifest["encoders"]) == ["sasrec", "mcrl"]
    assert manifest["oracles"]["dreamrec"]["encoder"] == "sasrec" and manifest["oracles"]["dreamrec"]["output"] == "items"
    assert manifest["q_networks"]["mcrl"]["encoder"] == "mcrl"
    assert manifest["recipe"]["steps"] == [{"retrieve": "encoder", "encoder": "sasrec", "count": 9}]
    assert {"HR@10", "HR@10 DreamRec", "HR@10 MCRL of SASRec", "HR@10 Markov"} <= set(manifest["provenance"]["metrics"])
    command = manifest["provenance"]["command"]
    assert command.count(" train DATA RUN") == 3 and command.endswith("export DATA RUN OUT --with RUN --with RUN")
    past, seeds = [np.array([1, 2, 3]), np.array([8, 0])], np.arange(2)
    network, _ = load_run(folder / "dreamrec", data)
    found, expected = OracleScorer(bundle, "dreamrec")(past, seeds), Scorer(network, data.cold())(past, seeds)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_a_bundle_grows(runs, tmp_path):
    """The encoder of a bundle stands for its run, to the bit, and how it came about is kept."""
    data, folder = runs
    export(data, [folder / "sasrec"], tmp_path / "small", "films", "")
    started = {"start": str(tmp_path / "small"), "fixed": "start"}
    Training(data, tmp_path / "dream", Options.chosen("dreamrec", **FEW | started), "cpu").run()
    export(data, [tmp_path / "small", tmp_path / "dream"], tmp_path / "grown", "films", "")
    small, grown = Bundle(tmp_path / "small"), Bundle(tmp_path / "grown")
    past = [np.array([1, 2, 3]), np.array([8, 0])]
    assert np.array_equal(BundleScorer(grown)(past), BundleScorer(small)(past))
    assert list(grown.manifest["encoders"]) == ["sasrec"] and list(grown.manifest["oracles"]) == ["dreamrec"]
    assert grown.manifest["provenance"]["command"].startswith(small.manifest["provenance"]["command"])


def test_an_oracle_over_other_states_brings_its_encoder(runs, tmp_path):
    data, folder = runs
    Training(data, tmp_path / "own", Options.chosen("dreamrec", **FEW), "cpu").run()
    export(data, [folder / "sasrec", tmp_path / "own"], tmp_path / "both", "both", "")
    manifest = Bundle(tmp_path / "both").manifest
    assert list(manifest["encoders"]) == ["sasrec", "dreamrec"] and manifest["oracles"]["dreamrec"]["encoder"] == "dreamrec"


def test_each_kind_of_network_comes_once(runs, tmp_path):
    data, folder = runs
    with pytest.raises(Problem, match="each kind of network once"):
        export(data, [folder / "sasrec", folder / "sasrec"], tmp_path / "twice", "twice", "")
