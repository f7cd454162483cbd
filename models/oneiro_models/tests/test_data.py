"""Readers: what they accept, and what they say of files they cannot use."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from oneiro_models import Problem
from oneiro_models.__main__ import main
from oneiro_models.data import read

CSV = "user,item,time\nann,007,30\nbob,x,10\nann,x,20\nbob,007,40\nann,y,50\n"


def write(path, text):
    path.write_text(text)
    return path


def test_csv_is_numbered_by_id_and_ordered_by_time(tmp_path):
    data = read(write(tmp_path / "events.csv", CSV), held_out=0.2)
    assert data.catalog.ids == ["007", "x", "y"]
    assert data.train.items.tolist() == [1, 1, 0, 0]
    assert data.catalog.counts.tolist() == [2, 2, 0]
    assert data.cold().tolist() == [False, False, True]
    rows = data.validation_rows()
    assert [history.tolist() for history in rows.histories] == [[1, 0]] and rows.targets.tolist() == [2]


def test_the_digest_knows_the_events_and_their_split(tmp_path):
    data = read(write(tmp_path / "events.csv", CSV), held_out=0.2)
    again = read(write(tmp_path / "sorted.csv", "\n".join(sorted(CSV.splitlines(), reverse=True))), held_out=0.2)
    assert data.digest() == again.digest()
    others = [read(tmp_path / "events.csv", held_out=0.4)]
    for old, new in (("ann,y,50", "ann,y,51"), ("ann,y,50", "bob,y,50"), ("ann,y,50", "ann,x,50"), ("007", "008")):
        others.append(read(write(tmp_path / "other.csv", CSV.replace(old, new)), held_out=0.2))
    assert data.digest() not in {other.digest() for other in others}


def test_parquet_equals_csv(tmp_path):
    csv = read(write(tmp_path / "events.csv", CSV), held_out=0.2)
    table = pa.table({"user": [1, 2, 1, 2, 1], "item": ["007", "x", "x", "007", "y"], "time": [30, 10, 20, 40, 50]})
    pa.parquet.write_table(table, tmp_path / "events.parquet")
    parquet = read(tmp_path / "events.parquet", held_out=0.2)
    assert parquet.catalog.ids == csv.catalog.ids
    assert parquet.train.items.tolist() == csv.train.items.tolist()


def test_dates_are_times(tmp_path):
    data = read(write(tmp_path / "events.csv", "user,item,time\na,x,2024-01-02\na,y,2024-01-01\nb,x,2024-01-03\n"), held_out=0.4)
    assert (np.diff(data.train.times) == 86400).all()
    assert data.train.items.tolist() == [1, 0]


def test_titles_from_a_second_file(tmp_path):
    titles = write(tmp_path / "titles.csv", "item,title\nx,The X (1990)\n007,Seven\n")
    data = read(write(tmp_path / "events.csv", CSV), titles)
    assert data.catalog.titles == ["Seven", "The X (1990)", "y"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user,film,time\na,x,1\n", "no column `item`; it has `user`, `film`, `time`"),
        ("user,item,time\n", "no rows"),
        ("user,item,time\na,,1\nb,x,2\n", "column `item` has 1 empty cells"),
        ("user,item,time\na,x,soon\nb,x,later\n", "expected numbers (Unix seconds) or dates"),
        ("user,item,time\na,x,1\n", "too few"),
        ("user,item,time\na,x\n", "events.csv"),
    ],
)
def test_a_bad_file_is_explained(tmp_path, text, said):
    with pytest.raises(Problem) as problem:
        read(write(tmp_path / "events.csv", text))
    assert said in str(problem.value) and "events.csv" in str(problem.value)


def test_a_wrong_path_is_one_line_and_no_traceback(tmp_path, capsys):
    assert main(["baselines", str(tmp_path / "nothing.csv")]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: ") and "nothing.csv: no such file" in shown and shown.count("\n") == 1


def test_a_folder_without_the_files_is_explained(tmp_path):
    with pytest.raises(Problem, match="items.parquet: no such file"):
        read(tmp_path)


def test_other_file_types_are_refused(tmp_path):
    with pytest.raises(Problem, match="expected a .csv or .parquet file"):
        read(write(tmp_path / "events.txt", CSV))


@pytest.mark.data_set("movietweetings-100k")
def test_movietweetings(movietweetings):
    assert (movietweetings.items, len(movietweetings.train), len(movietweetings.validation)) == (2414, 54444, 6805)
    assert movietweetings.catalog.ids[0] == "tt0013442"
    assert movietweetings.cold().sum() == 22
    assert movietweetings.train.times[-1] <= movietweetings.validation.times[0]


def test_events_are_written_with_their_ids_and_splits(tmp_path):
    data = read(write(tmp_path / "events.csv", CSV), held_out=0.2)
    assert main(["events", str(tmp_path / "events.csv"), str(tmp_path / "out.csv"), "--held-out", "0.2"]) == 0
    table = pa.csv.read_csv(tmp_path / "out.csv", convert_options=pa.csv.ConvertOptions(column_types={"item": pa.string()}))
    assert table.column_names == ["user", "item", "time", "split"]
    assert table["item"].to_pylist() == ["x", "x", "007", "007", "y"]
    assert table["user"].to_pylist() == [*data.train.users, *data.validation.users]
    assert table["time"].to_pylist() == [10, 20, 30, 40, 50]
    assert table["split"].to_pylist() == ["train"] * 4 + ["val"]
    assert main(["events", str(tmp_path / "events.csv"), str(tmp_path / "out.txt")]) == 1
