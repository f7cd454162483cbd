"""Results are kept and shown as they were measured."""

import json

import pytest

from oneiro_models import Problem
from oneiro_models.__main__ import main
from oneiro_models.metrics import Figure
from oneiro_models.results import Result, load, page


def result(**changes):
    names = [f"{metric}@{k}" for metric in ("HR", "NDCG") for k in (5, 10, 20)]
    popularity, network = ({name: Figure(mean, 0.01) for name in names} for mean in (0.1, 0.2))
    given = dict(data_set="films", rows="every event", count=7, seen="exclude", command="evaluate DATA/films RUN", seed=3, epoch=4)
    return Result(**given | {"subject": "GRU4Rec", "figures": {"popularity": popularity, "GRU4Rec": network}} | changes)


def test_a_result_is_read_back_as_it_was(tmp_path):
    path = result().save(tmp_path)
    assert path.name == "films--every-event--exclude--gru4rec--ec172bb2--seed-3.result.json"
    assert load(path) == result()
    assert result(epoch=None, seed=None).file() == "films--every-event--exclude--gru4rec.result.json"


def test_a_record_replaces_that_of_the_same_options_and_no_other(tmp_path):
    """One folder holds them all."""
    assert len({one.save(tmp_path) for one in (run(0.3, ""), run(0.2, ""), run(0.3, " --width 8"), run(0.3, "", seed=4))}) == 3
    assert len(list(tmp_path.iterdir())) == 3


def test_a_record_is_short_and_its_figures_are_as_the_page_shows_them(tmp_path):
    path = run(1 / 3, "").save(tmp_path)
    assert '"HR@10": {"mean": 0.33333333, "error": 0.01}' in path.read_text() and path.read_text().count("\n") == 1


def test_seeds_stand_side_by_side_and_baselines_once():
    shown = page([result(), result(seed=4)])
    assert shown.count("| popularity |") == 1
    assert "| GRU4Rec, seed 3 | 0.2000 ± 0.0100 |" in shown and "| GRU4Rec, seed 4 |" in shown
    assert "### Every event; history left out\n\n7 rows.\n" in shown
    assert "- GRU4Rec, seed 4: `evaluate DATA/films RUN` (epoch 4 kept)" in shown


def run(hits, options, seed=3):
    """A run of GRU4Rec with these options that hit so often."""
    found = result().figures
    found["GRU4Rec (1 × 64)"] = found.pop("GRU4Rec") | {"HR@10": Figure(hits, 0.01)}
    command = f"train DATA/films RUN{options}" + (f" --seed {seed}" if seed > 1 else "")
    return result(subject="GRU4Rec (1 × 64)", seed=seed, command=command, figures=found)


def test_of_several_configurations_the_best_stands_in_the_table_and_the_others_below_it():
    good = [run(0.30, " --dropout 0.6", seed=1), run(0.28, " --dropout 0.6", seed=2)]
    lucky = [run(0.31, ""), run(0.23, "", seed=2)]  # its better seed is better than any, its mean is not
    shown = page([*lucky, *good, run(0.1, " --width 8")])
    table, _, below = shown.partition("Other configurations:")
    assert "| GRU4Rec (1 × 64), seed 1 |" in table and "| GRU4Rec (1 × 64), seed 2 |" in table and ", seed 3" not in table
    assert "| GRU4Rec (1 × 64), mean of 2 seeds | 0.2000 ± 0.0000 | 0.2900 ± 0.0141 |" in table and "mean of" not in below
    assert "0.3100" not in shown and "`train DATA/films RUN --dropout 0.6 --seed 2` (epoch 4 kept)" in table
    assert "| `the defaults` | 2 | 0.2700 | 0.2000 | 4, 4 |\n| `--width 8` | 1 | 0.1000 | 0.2000 | 4 |\n" in below


def test_baselines_that_differ_are_refused():
    other = result(seed=4)
    other.figures["popularity"]["HR@5"] = Figure(0.11, 0.01)
    with pytest.raises(Problem, match="figures of popularity"):
        page([result(), other])


def test_baselines_that_differ_by_rounding_are_the_same():
    other = result(seed=4)
    other.figures["popularity"]["HR@5"] = Figure(0.10004, 0.00996)
    assert page([result(), other]).count("| popularity |") == 1


def test_a_run_of_which_little_is_known_is_shown_as_far_as_it_is():
    """As the page tells other configurations: two figures, without their errors and the seed."""
    little = {"GRU4Rec (1 × 64)": {"HR@10": Figure(0.25, None), "NDCG@10": Figure(0.15, None)}}
    known = result(subject="GRU4Rec (1 × 64)", seed=None, command="train DATA/films RUN --width 8", figures=little)
    below = page([run(0.3, ""), known]).partition("Other configurations:")[2]
    assert "| `--width 8` | 1 | 0.2500 | 0.1500 | 4 |\n" in below
    assert "| GRU4Rec (1 × 64) |  | 0.2500 |  |  | 0.1500 |  |" in page([result(subject=None, seed=None, epoch=None), known])


def test_kinds_of_rows_have_tables_of_their_own():
    shown = page([result(), result(rows="orders"), result(data_set="books")])
    assert shown.index("## books") < shown.index("## films") < shown.index("### Every event", shown.index("## films"))
    assert shown.count("## films") == 1 and shown.count("### ") == 3


def test_what_is_no_result_is_explained(tmp_path, capsys):
    assert main(["results", str(tmp_path), str(tmp_path / "page.md")]) == 1
    (tmp_path / "x.result.json").write_text(json.dumps({"data_set": "films"}))
    assert main(["results", str(tmp_path), str(tmp_path / "page.md")]) == 1
    shown = capsys.readouterr().err
    assert "holds no results" in shown and "x.result.json is not a result" in shown


def test_from_a_run_to_the_page(tmp_path):
    lines = [f"user-{user},item-{(user + step) % 9},{1000 * step + user}" for user in range(60) for step in range(6)]
    (tmp_path / "events.csv").write_text("user,item,time\n" + "\n".join(lines) + "\n")
    events, run, kept = str(tmp_path / "events.csv"), str(tmp_path / "run"), str(tmp_path / "kept")
    assert main(["train", events, run, "--epochs", "1", "--width", "8", "--window", "5", "--network", "gru4rec"]) == 0
    assert main(["export", events, run, str(tmp_path / "small")]) == 0
    assert main(["evaluate", events, str(tmp_path / "small"), "--record", kept]) == 0
    assert main(["baselines", events, "--record", kept]) == 0
    assert main(["results", str(tmp_path), str(tmp_path / "page.md")]) == 0
    shown = (tmp_path / "page.md").read_text()
    assert "| GRU4Rec (1 × 8, window 5), seed 1 |" in shown and "| gru4rec of bundle small |" in shown
    assert "`python -m oneiro_models train DATA/events.csv RUN --network gru4rec --window 5 --width 8 --epochs 1`" in shown
    assert "RUN OUT && python -m oneiro_models evaluate DATA/events.csv small`" in shown
    assert str(tmp_path) not in shown


def test_the_page_of_the_repository_is_that_of_its_records(models, tmp_path):
    """Nobody edits it by hand, nor forgets to write it anew."""
    assert main(["results", str(models / "results"), str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text("utf-8") == (models / "RESULTS.md").read_text("utf-8")
