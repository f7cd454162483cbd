"""Logged recommendations, against what the data's own page and the policies' definitions say of them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from conftest import DATA

from oneiro_models import Problem
from oneiro_models.data import read_bandit

FOLDER = DATA / "open-bandit"


@pytest.mark.data_set("open-bandit")
@pytest.mark.parametrize(
    ("policy", "campaign", "items", "rate"),
    [("random", "men", 34, 0.00438), ("random", "women", 46, 0.00438), ("bts", "men", 34, 0.00712), ("bts", "women", 46, 0.0035)],
)
def test_every_log_is_whole(policy, campaign, items, rate):
    log = read_bandit(FOLDER, policy, campaign)
    assert len(log) == 8000 and log.clicks.mean() == pytest.approx(rate, abs=1e-5)
    assert log.affinities.shape == (8000, items) and log.people.shape == (8000, 4)
    assert log.item_categories.shape == (items, 3) and len(log.item_number) == items
    assert (np.diff(log.times) >= 0).all() and set(log.positions.tolist()) == {1, 2, 3}
    if policy == "random":
        np.testing.assert_allclose(log.propensities, 1 / items, rtol=1e-12)
    weights = 1 / items / log.propensities  # of a policy that shows all items alike
    assert weights.mean() == pytest.approx(1, abs=5 * weights.std() / np.sqrt(len(log)))


def made_up(folder, **changed):
    rows = {"time_us": [2, 1], "item_id": [3, 33], "position": [1, 3], "click": [0, 1], "propensity_score": [0.5, 0.25]}
    rows |= {f"user_feature_{i}": ["a", "b"] for i in range(4)} | {f"user-item_affinity_{i}": [0.0, 1.0] for i in range(34)}
    pa.parquet.write_table(pa.table(rows | changed), folder / "bts_men_train.parquet")
    features = {"item_feature_0": [0.5] * 34} | {f"item_feature_{i}": ["x"] * 34 for i in (1, 2, 3)}
    pa.parquet.write_table(pa.table({"item_id": range(34)} | features), folder / "men_item_context.parquet")
    return folder


def test_a_log_is_in_order_of_time(tmp_path):
    log = read_bandit(made_up(tmp_path), "bts", "men")
    assert log.items.tolist() == [33, 3] and log.clicks.tolist() == [True, False] and log.propensities.tolist() == [0.25, 0.5]
    assert log.times.tolist() == [1e-6, 2e-6] and log.affinities[:, 7].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"item_id": [3, 34]}, "an item is outside 0 … 33"),
        ({"propensity_score": [0.5, 0.0]}, "a propensity is outside"),
        ({"click": [0, 2]}, "a click is neither 0 nor 1"),
    ],
)
def test_a_bad_log_is_explained(tmp_path, changed, said):
    with pytest.raises(Problem, match=said):
        read_bandit(made_up(tmp_path, **changed), "bts", "men")


def test_unknown_names_are_explained(tmp_path):
    with pytest.raises(Problem, match="no campaign `all`; there are `men`, `women`"):
        read_bandit(tmp_path, "bts", "all")
