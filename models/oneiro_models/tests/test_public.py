"""The public sets: their protocols, and that the baselines give the figures that others measured on the same rows."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from conftest import DATA, REPOSITORY

from oneiro_models import Problem
from oneiro_models.compare import compare
from oneiro_models.data import read
from oneiro_models.data.public import FORMS
from oneiro_models.data.sequences import EVERY, GIVEN, NEXT, at_least, every_position


def folder_of(tmp_path, name, **files):
    (tmp_path / "README.md").write_text(f"# {name}\n\nMade up.\n")
    for file, columns in files.items():
        pa.parquet.write_table(pa.table(columns), tmp_path / f"{file}.parquet")
    return tmp_path


def test_every_position_has_the_items_before_it():
    rows = every_position([np.array([5, 6, 7]), np.array([8]), np.array([9, 4])])
    assert [history.tolist() for history in rows.histories] == [[5], [5, 6], [9]]
    assert rows.targets.tolist() == [6, 7, 4]
    assert at_least(rows, 2).targets.tolist() == [7]


def test_sequences(tmp_path):
    train, val = {"session": [0, 1], "items": [[3, 4837], [2]]}, {"session": [2], "items": [[1, 1, 0]]}
    data = read(folder_of(tmp_path, "dreamrec-zhihu", train=train, val=val))
    assert (data.name, data.items, data.seen, data.kinds()) == ("dreamrec-zhihu", 4838, "allow", [EVERY])
    assert data.train.items.tolist() == [3, 4837, 2] and data.train.times is None
    assert [sequence.tolist() for sequence in data.train.sequences()] == [[0, 1], [2]]
    rows = data.validation_rows()
    assert [history.tolist() for history in rows.histories] == [[1], [1, 1]] and rows.targets.tolist() == [1, 0]


def test_the_digest_knows_the_questions(tmp_path):
    def digest(train=((3, 4), (2,)), val=((1, 1, 0), (5, 6))):
        files = {"train": train, "val": val}
        columns = {file: {"session": range(len(rows)), "items": [list(row) for row in rows]} for file, rows in files.items()}
        return read(folder_of(tmp_path, "dreamrec-zhihu", **columns)).digest()

    others = [digest(train=((3, 4, 2),)), digest(train=((3,), (4, 2))), digest(val=((5, 6), (1, 1, 0)))]
    others += [digest(val=((1, 1), (5, 6))), digest(val=((1, 0, 1), (5, 6))), digest(val=((1, 1, 0), (5, 7)))]
    assert digest() == digest() and len({digest(), *others}) == 7


def test_leave_one_out_goes_by_user(tmp_path):
    train, val = {"user": [7, 3], "items": [[0, 1], [2]]}, {"user": [3, 7], "target": [5, 6]}
    data = read(folder_of(tmp_path, "amazon-toys", train=train, val=val))
    rows = data.validation_rows(NEXT)
    assert [history.tolist() for history in rows.histories] == [[2], [0, 1]] and rows.targets.tolist() == [5, 6]
    assert data.seen == "exclude"


def test_orders_have_rows_of_their_own_and_are_worth_most(tmp_path):
    train = {"items": [[0, 1], [2, 3, 4]], "behaviors": [[1, 2], [3, 1, 2]]}
    val = {"items": [[4, 5, 6, 7]], "behaviors": [[2, 1, 2, 3]]}
    items = {"item": range(12195), **{trait: [1] * 12195 for trait in ("brand", "shop", "category")}}
    data = read(folder_of(tmp_path, "jdata-sessions", train=train, val=val, items=items))
    assert data.validation_rows("next is order").targets.tolist() == [6]
    assert data.validation_rows("next is browse").targets.tolist() == [5]
    assert data.train.rewards.tolist() == [0.2, 1, 0.2, 0.2, 1]
    assert data.catalog.kinds() == {"brand": "integer", "shop": "integer", "category": "integer"}


def test_ratings_below_three_are_no_choices(tmp_path):
    items = {"item": range(1682), "title": [f"film {item}" for item in range(1682)]}
    train = {"items": [[0, 1, 2]], "ratings": [[5, 2, 3]]}
    val = {"items": [[3, 4, 5]], "ratings": [[1, 3, 4]]}
    given = {"history": [[4]], "target": [5]}
    data = read(folder_of(tmp_path, "movielens-100k", items=items, train=train, val=val, llara_val=given))
    assert data.train.items.tolist() == [0, 2]
    assert data.validation_rows().histories[0].tolist() == [4] and data.validation_rows(GIVEN).targets.tolist() == [5]


def test_unknown_sets_rows_and_items_are_explained(tmp_path):
    train, val = {"session": [0], "items": [[3, 4]]}, {"session": [2], "items": [[1, 4838]]}
    folder_of(tmp_path, "dreamrec-zhihu", train=train, val=val)
    with pytest.raises(Problem, match="item 4838 is outside 0 … 4837"):
        read(tmp_path)
    data = read(folder_of(tmp_path, "dreamrec-yc", train=train, val=val))
    with pytest.raises(Problem, match="dreamrec-yc has no rows `orders`; it has `every position"):
        data.validation_rows("orders")
    (tmp_path / "README.md").write_text("# netflix\n")
    with pytest.raises(Problem, match="no reader for `netflix`"):
        read(tmp_path)


# How the table calls the rows of a set, where it has several.
CALLED = {
    ("movielens-100k", EVERY): "movielens-100k (every liked item of the unseen users)",
    ("movielens-100k", GIVEN): "movielens-100k (LLaRA rows: last liked item)",
    ("llara-lastfm", EVERY): "llara-lastfm (every position)",
    ("llara-lastfm", GIVEN): "llara-lastfm (LLaRA rows: last item)",
    ("jdata-sessions", "next is browse"): "jdata-sessions, next is browse",
    ("jdata-sessions", "next is order"): "jdata-sessions, next is order",
}
METHODS = {"popularity": "popularity", "markov": "Markov", "itemknn": "ItemKNN", "recency+markov": "recency + Markov"}


def measured_by_others(name):
    """The rows of a set in the table: method → number of rows and figures."""
    found = {}
    for line in (DATA / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) > 3 and cells[0] == name and cells[1] in METHODS:
            found[METHODS[cells[1]]] = int(cells[2]), [float(cell) for cell in cells[3:]]
    return found


@pytest.mark.data_set("README.md")
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.data_set(name)) for name in FORMS])
def test_baselines_agree_with_those_of_others(name):
    """Within three standard errors where they drew rows or broke ties otherwise, to the row for counting methods elsewhere."""
    data = read(DATA / name)
    readme = (REPOSITORY / "models" / "oneiro_models" / "README.md").read_text(encoding="utf-8")
    compared = 0
    for kind in data.kinds():
        assert f"`{kind}`" in readme and f"`{name}`" in readme
        expected = measured_by_others(CALLED.get((name, kind), name if kind == data.kinds()[0] else ""))
        found = compare(data, {}, data.seen, kind)
        count = len(data.validation_rows(kind))
        for method, (rows, figures) in expected.items():
            for (figure, ours), theirs in zip(found[method].items(), figures, strict=True):
                same = rows == count and method != "ItemKNN"
                allowed = 6e-5 if same else 3 * ours.error
                assert abs(ours.mean - theirs) <= allowed, (kind, method, figure, ours, theirs, rows)
                compared += 1
    assert compared >= 18
