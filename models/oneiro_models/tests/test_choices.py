"""Records of choices among twenty are kept and shown as they were measured."""

from dataclasses import replace

import pytest

from oneiro_models import Problem
from oneiro_models.__main__ import main
from oneiro_models.llara.record import Choices, load, section
from oneiro_models.metrics import Figure

COMMAND = "train-lm DATA/films BASE --seed 5 && tune-lm DATA/films RUN --base BASE{} && evaluate-lm DATA/films RUN"


def choices(hits=0.5, options="", seed=1, **changes):
    figures = {"popularity": 0.1, "sasrec": 0.4, "hybrid, constrained": hits}
    figures = {name: {"HitRatio@1": Figure(one, 0.01), "ValidRatio": Figure(1.0, 0.0)} for name, one in figures.items()}
    command = COMMAND.format(options + (f" --seed {seed}" if seed > 1 else ""))
    given = dict(data_set="films", rows="the rows of the authors", count=94, command=command, figures=figures)
    return Choices(**given | {"subject": "LLaRA, the curriculum", "seed": seed} | changes)


def test_a_record_is_read_back_as_it_was(tmp_path):
    path = choices().save(tmp_path)
    assert path.name.startswith("films--the-rows-of-the-authors--llara-the-curriculum--")
    assert path.name.endswith("--seed-1.choice.json")
    assert load(path) == choices()
    assert len({one.file() for one in (choices(), choices(seed=2), choices(options=" --steps 9"), choices(hits=0.1))}) == 3


def test_seeds_of_the_tuning_are_averaged_and_baselines_stand_once():
    other = choices(0.3, " --curriculum hybrid", subject="LLaRA, hybrid from the start")
    shown = section([choices(0.5), choices(0.6, seed=2), other])
    assert shown.count("| popularity |") == 1 and "### films: the rows of the authors\n\n94 rows.\n" in shown
    assert "| LLaRA, the curriculum: hybrid, constrained, mean of 2 seeds | 0.5500 ± 0.0707 | 1.0000 ± 0.0000 |" in shown
    assert "| LLaRA, hybrid from the start: hybrid, constrained | 0.3000 ± 0.0100 |" in shown
    assert "seeds 1, 2: `train-lm DATA/films BASE --seed 5 && tune-lm DATA/films RUN --base BASE && evaluate-lm" in shown


def test_baselines_that_differ_are_refused():
    other = choices(seed=2)
    other.figures["popularity"] = {"HitRatio@1": Figure(0.2, 0.01), "ValidRatio": Figure(1.0, 0.0)}
    with pytest.raises(Problem, match="in the figures of popularity"):
        section([choices(), other])


def test_what_is_no_record_is_explained(tmp_path):
    (tmp_path / "x.choice.json").write_text("{}")
    with pytest.raises(Problem, match="is no record of choices"):
        load(tmp_path / "x.choice.json")


def test_the_page_shows_choices(tmp_path, models):
    choices().save(tmp_path)
    result = next((models / "results").glob("*.result.json"))
    (tmp_path / result.name).write_bytes(result.read_bytes())
    assert main(["results", str(tmp_path), str(tmp_path / "page.md")]) == 0
    assert section([choices()]) in (tmp_path / "page.md").read_text("utf-8")


def test_a_record_of_stage_1_alone_has_no_seed():
    command = "train-lm DATA/films BASE && evaluate-lm DATA/films BASE/checkpoint"
    alone = replace(choices(), subject=None, seed=None, command=command)
    assert "--stage-1-alone--" in alone.file() and "| stage 1 alone: hybrid, constrained |" in section([alone])
