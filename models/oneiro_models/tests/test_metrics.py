"""Metrics against brute force."""

import math

import numpy as np
import pytest

from oneiro_models.data import Rows
from oneiro_models.metrics import evaluate, figures, ranks


def brute_force_rank(scores, history, target):
    rivals = [item for item in range(len(scores)) if item != target and item not in history]
    return 1 + sum(not scores[item] < scores[target] for item in rivals)


def test_ranks_equal_brute_force():
    generator = np.random.default_rng(1)
    scores = generator.integers(0, 8, (200, 15)).astype(float)  # full of ties
    histories = [generator.permutation(15)[: generator.integers(0, 6)] for _ in range(200)]
    targets = generator.integers(0, 15, 200)
    expected = [brute_force_rank(*row) for row in zip(scores, histories, targets)]
    assert ranks(scores, histories, targets).tolist() == expected
    assert any(target in history for target, history in zip(targets, histories))


def test_ties_count_against_the_method():
    assert ranks(np.zeros((1, 5)), [np.array([], int)], np.array([2])).tolist() == [5]


def test_not_a_number_ranks_last():
    scores = np.array([[np.nan, 1.0, np.nan, 0.5]])
    assert ranks(scores, [np.array([], int)], np.array([0])).tolist() == [4]
    assert ranks(scores, [np.array([], int)], np.array([3])).tolist() == [2]


def test_seen_items_rank_where_they_are_allowed():
    rows = Rows([np.array([0, 1])], np.array([2]))
    score = lambda histories: np.array([[9.0, 8.0, 7.0, 6.0]])  # noqa: E731
    assert evaluate(score, rows).tolist() == [1]
    assert evaluate(score, rows, seen="allow").tolist() == [3]


def test_figures_and_their_errors():
    found = figures(np.array([1, 3, 11, 50]), (10,))
    assert found["HR@10"].mean == 0.5
    assert found["HR@10"].error == pytest.approx(math.sqrt(1 / 3) / 2)
    assert found["NDCG@10"].mean == pytest.approx((1 + 0.5) / 4)


def test_evaluate_does_not_depend_on_the_batch():
    generator = np.random.default_rng(2)
    table = generator.normal(size=(12, 12))
    rows = Rows([generator.permutation(12)[:3] for _ in range(25)], generator.integers(0, 12, 25))
    score = lambda histories: table[[history[-1] for history in histories]]  # noqa: E731
    assert evaluate(score, rows, batch=4).tolist() == evaluate(score, rows, batch=25).tolist()


def test_draws_are_averaged_by_row():
    class Chance:
        """Puts the target first or last, as the seed of the row and the number of the draw say."""

        draws = 3

        def __call__(self, histories, seeds):
            scores = np.zeros((3, len(histories), 5))
            for draw in range(3):
                scores[draw, :, 4] = np.where((seeds + draw) % 2, 1, -1)
            return scores

    rows = Rows([np.array([0] * length) for length in (3, 1, 2)], np.array([4, 4, 4]))
    found = evaluate(Chance(), rows, "allow")
    assert found.tolist() == [[5, 1, 5], [1, 5, 1], [5, 1, 5]]
    shown = figures(found, (1,))["HR@1"]
    values = np.array([1, 2, 1]) / 3
    assert shown.mean == pytest.approx(values.mean()) and shown.error == pytest.approx(values.std(ddof=1) / math.sqrt(3))
