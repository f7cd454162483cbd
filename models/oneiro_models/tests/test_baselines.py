"""Baselines on an example small enough to do by hand, and on the data set of models/demo."""

import numpy as np
import pytest

from oneiro_models.baselines import ItemKNN, Markov, Popularity, RecencyMarkov
from oneiro_models.compare import compare
from oneiro_models.data import Events

# user 0: 0 1 2 · user 1: 0 1 · user 2: 1 0 2 · item 3 is never chosen; the events of the users are mixed
EVENTS = Events(
    users=np.array([0, 1, 2, 0, 1, 2, 0, 2]),
    items=np.array([0, 0, 1, 1, 1, 0, 2, 2]),
    times=np.arange(8.0),
)


def one(method, *history):
    return method(EVENTS, 4)([np.array(history)])[0]


def test_popularity():
    assert one(Popularity, 2).tolist() == [3, 3, 2, 0]


def test_markov_counts_what_followed_the_last_item_then_popularity():
    # 0→1 twice, 0→2 once, 1→2 once, 1→0 once; the most popular item has 3 events
    assert one(Markov, 2, 0).tolist() == [3, 2 * 4 + 3, 1 * 4 + 2, 0]
    assert one(Markov, 0, 1).tolist() == [1 * 4 + 3, 3, 1 * 4 + 2, 0]
    assert one(Markov, 3).tolist() == [3, 3, 2, 0]


def test_recency_puts_the_history_first():
    # 2 was the latest, then 0; of the others 1 has 3 events and item 3 none
    assert np.argsort(-one(RecencyMarkov, 0, 2)).tolist() == [2, 0, 1, 3]
    assert np.argsort(-one(RecencyMarkov, 2, 0, 2)).tolist() == [2, 0, 1, 3]


def test_itemknn_sums_cosines():
    together = 2 / np.sqrt(3 * 2)
    assert one(ItemKNN, 0) == pytest.approx([0, 1, together, 0])
    assert one(ItemKNN, 0, 2) == pytest.approx([together, 1 + together, together, 0])
    assert one(ItemKNN, 3).tolist() == [0, 0, 0, 0]


def test_itemknn_looks_at_the_latest_ten():
    assert one(ItemKNN, 2, *[0] * 10) == pytest.approx(one(ItemKNN, *[0] * 10))


def test_itemknn_counts_a_user_once():
    twice = Events(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), np.arange(4.0))
    assert ItemKNN(twice, 2)([np.array([0])])[0] == pytest.approx([0, 1 / np.sqrt(2)])


@pytest.mark.data_set("movietweetings-100k")
def test_figures_on_movietweetings(movietweetings):
    """Close to those measured by others on 5000 of the 6716 rows: 0.0872, 0.1324, 0.1326."""
    found = compare(movietweetings, {})
    assert len(movietweetings.validation_rows()) == 6716
    assert found["popularity"]["HR@10"].mean == pytest.approx(0.0858, abs=5e-5)
    assert found["Markov"]["HR@10"].mean == pytest.approx(0.1325, abs=5e-5)
    assert found["ItemKNN"]["HR@10"].mean == pytest.approx(0.1333, abs=5e-5)
