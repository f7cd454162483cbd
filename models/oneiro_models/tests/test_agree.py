"""`oneiro eval` and PyTorch agree rank by rank, and what does not agree is noticed."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import ONEIRO, oneiro

from oneiro_models import Problem
from oneiro_models.agree import Agreement, agree, load, section
from oneiro_models.bundle import Bundle, Catalog
from oneiro_models.bundle.retyped import retyped
from oneiro_models.data import Dataset, Events, Rows, write_events
from oneiro_models.data.sequences import EVERY
from oneiro_models.encoder import bundled_network
from oneiro_models.metrics import figures
from oneiro_models.record import DECIMALS

pytestmark = pytest.mark.oneiro


@pytest.fixture
def films(models):
    """Invented events on the items of models/tiny, split by time, with some users new in the validation."""
    catalog = Catalog(Bundle(models / "tiny").strings("ids"))
    generator = np.random.default_rng(8)
    users, items = generator.integers(30, size=400), generator.integers(40, size=400)
    users[380:] += 5
    train, validation = (Events(users[part], items[part], np.arange(400.0)[part]) for part in (slice(300), slice(300, None)))
    return Dataset(catalog, train, validation, name="films")


@pytest.mark.parametrize("seen", ["exclude", "allow"])
def test_the_tiny_networks_agree(models, films, seen):
    found = agree(films, models / "tiny", ONEIRO, seen=seen)
    assert [one.encoder for one in found] == ["sasrec", "gru4rec", "caser", "nextitnet"]
    for one in found:
        assert one.problem() is None and one.count == len(films.validation_rows())
        assert (one.close, one.apart) == ([], [])
        assert list(one.figures) == ["PyTorch", "f32", "f16", "i8"]
        assert one.figures["f32"] == pytest.approx(one.figures["PyTorch"], abs=1e-9)


def test_the_tiny_oracles_agree(models, films):
    found = agree(films, models / "tiny-oracle", ONEIRO)
    assert [one.encoder for one in found] == ["affine", "mlp2", "Q of value"]
    for one in found:
        assert one.problem() is None and len(one.close) <= 2
        assert one.figures["f32"] == pytest.approx(one.figures["PyTorch"], abs=0.03)


def test_the_tiny_values_agree(models, films):
    """Q-networks of all three forms: scored against rows that are read, against rows of their own, and all items at once."""
    found = agree(films, models / "tiny-values", ONEIRO)
    assert [one.encoder for one in found] == ["mcrl", "separate", "Q of mcrl", "Q of separate", "Q of direct"]
    for one in found:
        assert one.problem() is None and (one.close, one.apart) == ([], [])
        assert one.figures["f32"] == pytest.approx(one.figures["PyTorch"], abs=1e-9)


def test_rows_of_their_own_are_asked_one_by_one(models, films):
    """Histories that are no user's: the same item again, longer than the window, one item."""
    histories = [np.array([3, 3, 3]), np.arange(12), np.array([7])]
    rows = Dataset(films.catalog, films.train, None, questions={EVERY: Rows(histories, np.array([3, 20, 8]))}, name="rows")
    for one in agree(rows, models / "tiny", ONEIRO, seen="allow"):
        assert (one.count, one.close, one.apart) == (3, [], [])


def test_other_weights_do_not_agree(models, films, tmp_path, monkeypatch):
    """PyTorch gets the tables of i8 and oneiro those of f32."""
    coarse = retyped(Bundle(models / "tiny"), "i8", tmp_path / "coarse")
    monkeypatch.setattr("oneiro_models.agree.bundled_network", lambda _, name: bundled_network(coarse, name))
    found = agree(films, models / "tiny", ONEIRO)
    assert all(one.apart and "ranks differ" in one.problem() for one in found)


def test_a_page_lists_what_rounding_decides(tmp_path):
    measured = {name: round(figure.mean, DECIMALS) for name, figure in figures(np.array([1, 12, 3])).items()}
    both = {"PyTorch": measured, "f32": measured}
    one = Agreement("films", EVERY, 3, "allow", "small", "caser", "agree DATA/films small", [[1, 12, 13]], [], both)
    path = one.save(tmp_path)
    assert path.name == "films--every-position-after-the-first--allow--small--caser.agreement.json" and load(path) == one
    shown = section([one])
    figure = "0.6667 / 0.5000"
    assert f"| films | 3, {EVERY} | ranked too | caser of small | 2 | 1 | 0 | {figure} | {figure} |  |  |" in shown
    assert "- close, caser of small on films: row 1: 12 → 13\n" in shown and "`agree DATA/films small`" in shown
    worse = replace(one, figures={"PyTorch": measured, "f32": measured | {"HR@10": 0.6}})
    assert "HR@10 is 0.6000, PyTorch 0.6667" in worse.problem() and one.problem() is None


def test_what_cannot_be_compared_is_explained(models, films, tmp_path):
    with pytest.raises(Problem, match="no-such-command cannot be run"):
        agree(films, models / "tiny", "no-such-command")
    with pytest.raises(Problem, match="has other items than films"):
        agree(films, models / "demo", ONEIRO)
    (tmp_path / "x.agreement.json").write_text("[]")
    with pytest.raises(Problem, match="is not an agreement"):
        load(tmp_path / "x.agreement.json")


@pytest.mark.data_set("movietweetings-100k")
def test_a_share_held_out_is_the_split_of_the_data(models, movietweetings, tmp_path):
    """`oneiro eval` on all events of MovieTweetings: by their split, and by the share of them that is the validation's."""
    lines = write_events(movietweetings, tmp_path / "events.csv")
    share = len(movietweetings.validation) / (len(movietweetings.train) + len(movietweetings.validation))
    ranks = []
    for options in ([], ["--held-out", share]):
        options += ["--by", "popularity", "--ranks", tmp_path / "ranks.csv"]
        report = oneiro("eval", models / "demo", tmp_path / "events.csv", *options)
        assert report["n"] == len(lines) == len(movietweetings.validation_rows())
        ranks.append((tmp_path / "ranks.csv").read_text())
    assert ranks[0] == ranks[1]
    assert [int(row.split(",")[0]) for row in ranks[0].splitlines()[1:]] == lines.tolist()
