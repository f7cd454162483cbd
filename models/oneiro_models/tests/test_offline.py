"""Offline estimates against made-up logs whose truth is known."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from oneiro_models import Problem
from oneiro_models.__main__ import main
from oneiro_models.data import Log
from oneiro_models.offline import dataset, doubly_robust, estimates, histories, listed, load, predicted_rates, section

RATES = np.array([[0.1, 0.3, 0.2, 0.5], [0.4, 0.1, 0.3, 0.2]])
"""How often people of either kind click on each of four items."""
LOGGING = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]])
POLICY = np.array([[0.1, 0.0, 0.3, 0.6], [0.7, 0.1, 0.1, 0.1]])
TRUTH = (RATES * POLICY).sum(1).mean()


def made_up(count, seed, kinds=None):
    """A log by the logging policy; people of kind 1 have clicked on item 2 before."""
    generator = np.random.default_rng(seed)
    kinds = generator.integers(2, size=count) if kinds is None else kinds
    items = (generator.random((count, 1)) > LOGGING[kinds].cumsum(1)).sum(1)
    clicks = generator.random(count) < RATES[kinds, items]
    affinities = np.zeros((count, 4))
    affinities[kinds == 1, 2] = 1.0
    none = np.zeros(count)
    return kinds, Log("bts", "men", none, items, none, clicks, LOGGING[kinds, items], none, affinities, none, none)


def test_estimates_find_the_truth():
    kinds, log = made_up(200_000, 0)
    found = estimates(POLICY[kinds], log, RATES.mean(0))
    for name, figure in found.items():
        assert figure.mean == pytest.approx(TRUTH, abs=4 * figure.error), name
        assert figure.error < 0.004
    assert found["SNIPS"].error < found["IPS"].error and found["DR"].error < found["IPS"].error


def test_errors_are_the_spread_over_logs():
    found = {}
    for seed in range(300):
        kinds, log = made_up(400, seed)
        for name, figure in estimates(POLICY[kinds], log, RATES.mean(0)).items():
            found.setdefault(name, []).append((figure.mean, figure.error))
    for name, pairs in found.items():
        means, errors = np.array(pairs).T
        assert means.std() == pytest.approx(errors.mean(), rel=0.15), name
        assert means.mean() == pytest.approx(TRUTH, abs=5 * means.std() / np.sqrt(300)), name


def test_the_logging_policy_earned_its_clicks():
    kinds, log = made_up(500, 1)
    found = estimates(LOGGING[kinds], log, np.zeros(4))
    for figure in found.values():
        assert figure.mean == pytest.approx(log.clicks.mean())


def test_wrong_predictions_bring_no_bias():
    kinds, log = made_up(200_000, 2)
    figure = doubly_robust(POLICY[kinds], log, np.array([0.9, 0.0, 0.9, 0.1]))
    assert figure.mean == pytest.approx(TRUTH, abs=4 * figure.error)


def test_a_policy_that_does_not_add_up_is_refused():
    kinds, log = made_up(10, 0)
    with pytest.raises(Problem, match="do not add up to 1"):
        estimates(POLICY[kinds] / 2, log, np.zeros(4))


def test_a_list_shows_its_items_alike():
    assert listed(np.array([[0.0, 3.0, 1.0, 1.0, 1.0]])).tolist() == pytest.approx(np.array([[0, 1, 1, 1, 0]]) / 3)


def test_predicted_rates_lean_on_the_mean():
    _, log = made_up(1000, 3)
    shown, clicked = np.bincount(log.items, minlength=4), np.bincount(log.items, log.clicks, 4)
    expected = (clicked + 100 * log.clicks.mean()) / (shown + 100)
    assert predicted_rates(log) == pytest.approx(expected)


def test_a_log_becomes_sequences():
    _, log = made_up(6, 4, kinds=np.array([0, 1, 1, 0, 1, 0]))
    log.clicks[:] = [True, False, True, False, False, False]
    data, past = dataset(log), histories(log)
    assert past[0].tolist() == [4] and past[1].tolist() == [4, 2]
    sequences = [(data.train.items[rows].tolist(), data.train.rewards[rows].tolist()) for rows in data.train.sequences()]
    assert sequences[0] == ([4, log.items[0]], [0, 1]) and sequences[1] == ([4, 2, log.items[1]], [0, 1, 0])
    rows = data.validation_rows()
    assert [row.tolist() for row in rows.histories] == [[4], [4, 2]] and rows.targets.tolist() == log.items[[0, 2]].tolist()
    log.clicks[:] = False
    with pytest.raises(Problem, match="nothing was clicked"):
        dataset(log)


def test_from_a_log_to_a_table(tmp_path, capsys):
    """Everybody clicks on item 7 and on nothing else: the network is to find out."""
    generator, count = np.random.default_rng(0), 3000
    items = generator.integers(34, size=count)
    rows = {"time_us": range(count), "item_id": items, "position": [1] * count, "click": (items == 7).astype(int)}
    rows |= {"propensity_score": [1 / 34] * count} | {f"user_feature_{i}": ["a"] * count for i in range(4)}
    rows |= {f"user-item_affinity_{i}": [float(i == 3)] * count for i in range(34)}
    pa.parquet.write_table(pa.table(rows), tmp_path / "random_men_train.parquet")
    features = {"item_feature_0": [0.5] * 34} | {f"item_feature_{i}": ["x"] * 34 for i in (1, 2, 3)}
    pa.parquet.write_table(pa.table({"item_id": range(34)} | features), tmp_path / "men_item_context.parquet")
    run, kept = str(tmp_path / "run"), tmp_path / "kept"
    few = ["--epochs", "6", "--learning-rate", "0.01", "--backbone", "gru4rec"]
    assert main(["offline", str(tmp_path), run, "--record", str(kept), *few]) == 0
    (path,) = kept.iterdir()
    assert path.name == "open-bandit--random--men.offline.json"
    found = load(path)
    assert found.count == 1500 and list(found.figures)[0] == "as logged (random)"
    assert found.figures["MCRL by Q"]["SNIPS"].mean == pytest.approx(1 / 3, abs=0.1)
    assert found.clicks["MCRL by Q"] == found.clicks["as logged (random)"] > found.count / 60
    assert found.figures["uniform"]["IPS"].mean == pytest.approx(found.figures["as logged (random)"]["IPS"].mean)
    assert "| MCRL by Q |" in capsys.readouterr().out
    assert "### men, logged by random" in section([found]) and "--backbone gru4rec" in section([found])
    assert main(["offline", str(tmp_path), str(tmp_path / "other"), "--share", "1"]) == 1
    assert "expected one between 0 and 1" in capsys.readouterr().err
