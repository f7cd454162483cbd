"""Explanations on a small made-up world: what raises a score, and the sentence that says it."""

import json
import subprocess

import numpy as np
import pytest
import torch
from small_world import SMALL, base, data, pieces, plain, words, world  # noqa: F401

from conftest import ONEIRO
from oneiro_models.__main__ import main
from oneiro_models.agree import environment
from oneiro_models.bundle import Bundle
from oneiro_models.explain.attribution import drops, fall_without, named
from oneiro_models.explain.options import Explaining
from oneiro_models.explain.sentences import SENTENCES, filled, prompt_of, sentences_of
from oneiro_models.explain.tune import Explanations, Texts
from oneiro_models.inference import BundleScorer
from oneiro_models.llara.model import load_checkpoint
from oneiro_models.llara.tokenizer import BEGIN, END

FEW = dict(rows=30, steps=4, batch=4)


@pytest.fixture(scope="module")
def scorer(plain):
    return BundleScorer(Bundle(plain), "sasrec")


def test_falls_are_those_of_scores_without_each_item(scorer):
    history = np.array([3, 9, 3, 12, 20])
    falls = drops(scorer, history, 21)
    whole = scorer([history])[0, 21]
    assert sorted(item for item, _ in falls) == [3, 9, 12, 20]
    assert [fall for _, fall in falls] == sorted((fall for _, fall in falls), reverse=True)
    for item, fall in falls:
        assert fall == pytest.approx(float(whole - scorer([history[history != item]])[0, 21]), abs=1e-4)
    one, both = fall_without(scorer, history, 21, [[3], [9, 12]])
    assert one == pytest.approx(dict(falls)[3], abs=1e-5)
    assert both == pytest.approx(float(whole - scorer([np.array([3, 3, 20])])[0, 21]), abs=1e-4)
    assert drops(scorer, history[:0], 21) == []


def test_only_what_raises_a_score_is_named():
    assert named([(4, 0.5), (7, 0.1), (1, 0.05)]) == [4, 7]
    assert named([(4, 0.5), (7, 0.0)]) == [4]
    assert named([(4, -0.5)]) == []


def test_sentences_name_all_and_nothing_else():
    sentences = sentences_of("movietweetings-100k", True)
    assert len(sentences) == len(SENTENCES) and all("{first}" in one for one in sentences)
    assert all("{tags}" not in one for one in sentences_of("movietweetings-100k", False))
    assert filled(sentences, ["{tags}", "Jaws"], []) == ["Because you have watched {tags} and Jaws."]
    assert filled(sentences, ["Heat"], ["Crime", "Drama"]) == ["Because you have watched Heat.", "Like Heat, Crime and Drama."]
    assert filled(sentences, [], ["Crime"]) == []
    prompt = prompt_of("movietweetings-100k")
    assert prompt.count("{history}") == prompt.count("{candidates}") == 1 and not prompt.endswith(" ")


def test_documents_are_prompts_with_sentences_of_training_rows(data, words, base, scorer):
    tokenizer = load_checkpoint(base / "checkpoint")[1]
    texts = Texts(tokenizer, words, data)
    history, item = np.arange(14), 20
    text = tokenizer.decode(texts.prompt(history, item)[1:], skip_special_tokens=False)
    before, rest = prompt_of(data.name).split("{history}")
    between, after = rest.split("{candidates}")
    assert text == before + ", ".join(words.titles[4:14]) + between + words.titles[20] + after
    for asked, said in texts.documents(scorer, [np.array([1, 2, 3, 4, 5])], 3, np.random.default_rng(0)):
        sentence = tokenizer.decode(said[:-1], skip_special_tokens=False)
        assert asked[0] == BEGIN and said[-1] == END and sentence.startswith("Because you have chosen ")
        assert any(words.titles[one] in sentence for one in (1, 2, 3, 4))


def test_a_run_resumed_equals_one_not_stopped(data, words, base, plain, tmp_path):
    def explanations(folder):
        return Explanations(data, words, base / "checkpoint", Bundle(plain), "sasrec", folder, Explaining(**FEW))

    one = explanations(tmp_path / "whole")
    one.run()
    stopped = explanations(tmp_path / "parts")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "options.json").write_text((tmp_path / "whole" / "options.json").read_text())
    for _ in range(2):
        stopped.advance()
    stopped.save()
    resumed = explanations(tmp_path / "parts")
    resumed.resume()
    resumed.run()
    for first, second in zip(one.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.oneiro
def test_from_events_to_a_sentence_of_the_library(world, data, words, base, plain, scorer, tmp_path, capsys):
    events, shared = str(world[0]), ["--titles", str(world[1])]
    few = [part for name, value in FEW.items() for part in (f"--{name}", str(value))]
    about = [*shared, "--bundle", str(plain)]
    assert main(["tune-explainer", events, str(tmp_path / "run"), *about, "--base", str(base), *few]) == 0
    assert main(["evaluate-explainer", events, *about, "--most", "20", "--record", str(tmp_path / "records")]) == 0
    assert main(["baselines", events, *shared, "--record", str(tmp_path / "records")]) == 0
    assert main(["results", str(tmp_path / "records"), str(tmp_path / "page.md")]) == 0
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "without the named items" in page and "evaluate-explainer DATA/events.csv --bundle bundle --most 20`" in page
    assert main(["tune-lm", events, str(tmp_path / "lora"), *shared, "--base", str(base), "--recommender", str(plain), "--steps", "2", "--batch", "2"]) == 0  # fmt: skip
    taste = [*shared, "--base", str(base), "--recommender", str(plain), "--bundle", str(plain), "--precision", "f32"]
    assert main(["export-taste", events, str(tmp_path / "lora"), str(tmp_path / "taste"), *taste]) == 0
    put = [*shared, "--base", str(base), "--bundle", str(tmp_path / "taste")]
    assert main(["export-explainer", events, str(tmp_path / "run"), str(tmp_path / "out"), *put]) == 0
    texts = Texts(load_checkpoint(base / "checkpoint")[1], words, data)
    number, sentences = {name: item for item, name in enumerate(data.catalog.ids)}, 0
    for history, item in (([3, 4, 5], 6), ([7], 8), (list(range(20, 32)), 32)):
        seen = [part for one in history for part in ("--seen", data.catalog.ids[one])]
        command = [ONEIRO, "interpret", str(tmp_path / "out"), *seen, "--explain", data.catalog.ids[item], "--json", "-k", "20"]
        told = json.loads(subprocess.run(command, capture_output=True, check=True, encoding="utf-8", env=environment()).stdout)
        expected = drops(scorer, np.array(history), item)
        assert [number[one["id"]] for one in told["items"]] == [one for one, _ in expected]
        for one, (_, fall) in zip(told["items"], expected):
            assert one["score"] == pytest.approx(fall, abs=1e-3)
        answers = texts.answers(item, named(expected))
        assert told["text"] in (answers or [""])
        sentences += bool(answers)
    assert sentences
