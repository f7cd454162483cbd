"""The demo on the data it was trained on: what its manifest claims is what comes out."""

import pytest

from oneiro_models.bundle import Bundle
from oneiro_models.compare import compare
from oneiro_models.encoder import bundled_network
from oneiro_models.train import Scorer


@pytest.mark.data_set("movietweetings-100k")
def test_the_demo_reaches_its_figures(models, movietweetings):
    bundle = Bundle(models / "demo")
    assert bundle.strings("ids") == movietweetings.catalog.ids
    found = compare(movietweetings, {"SASRec": Scorer(bundled_network(bundle), movietweetings.cold())})
    claimed = bundle.manifest["provenance"]["metrics"]
    for method, figures in found.items():
        for figure, value in figures.items():
            key = figure if method == "SASRec" else f"{figure} {method}"
            if key in claimed:
                assert value.mean == pytest.approx(claimed[key], abs=5e-4), key
    ahead = found["SASRec"]["HR@10"]
    assert all(ahead.mean - 3 * ahead.error > found[method]["HR@10"].mean for method in ("popularity", "Markov", "ItemKNN"))
