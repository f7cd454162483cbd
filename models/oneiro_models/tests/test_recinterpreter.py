"""RecInterpreter on a small made-up world: what is asked, what is learned, and what a bundle says."""

import json
import subprocess

import numpy as np
import pytest
import torch
from small_world import SMALL, base, data, pieces, plain, words, world  # noqa: F401

from conftest import ONEIRO
from oneiro_models import Problem
from oneiro_models.__main__ import main
from oneiro_models.agree import environment
from oneiro_models.bundle import Bundle
from oneiro_models.llara.documents import IGNORED
from oneiro_models.llara.model import load_checkpoint
from oneiro_models.llara.tokenizer import BEGIN, END, NO_ROW
from oneiro_models.recinterpreter.decode import Titles, listed, rank_of
from oneiro_models.recinterpreter.evaluate import Reads, by_scores
from oneiro_models.recinterpreter.options import Reading
from oneiro_models.recinterpreter.prompts import LISTED, Questions, texts_of
from oneiro_models.recinterpreter.tune import Reader, encoder_of, layer_between, load_layer, rate, states_of

FEW = dict(steps=4, batch=8)


@pytest.fixture(scope="module")
def run(data, words, base, plain, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    Reader(data, words, base / "checkpoint", Bundle(plain), "sasrec", folder, Reading(**FEW)).run()
    return folder


@pytest.fixture(scope="module")
def questions(base, pieces, data):
    return Questions(load_checkpoint(base / "checkpoint")[1], pieces.titles, data.name)


def test_questions_are_the_texts_with_places_for_vectors(base, data, questions):
    tokenizer = load_checkpoint(base / "checkpoint")[1]
    for kind, slots in {"recover": 1, "residual": 2, "item": 1}.items():
        asked = questions.asked[kind]
        assert asked.tokens[0] == BEGIN and BEGIN not in asked.tokens[1:]
        assert [place for place, token in enumerate(asked.tokens) if token == NO_ROW] == asked.places
        assert len(asked.places) == slots
        text = tokenizer.decode([token for token in asked.tokens[1:] if token != NO_ROW], skip_special_tokens=False)
        bare = texts_of(data.name)[kind]
        for slot in ("{state}", "{before}", "{after}", "{item}"):
            bare = bare.replace(slot, "")
        assert text == bare


def test_a_list_begins_with_the_latest_and_names_each_once(questions):
    said = questions.recovered(np.array([3, 5, 3, 7]))
    assert said == [*questions.named(7), *questions.named(3), *questions.named(5), END]
    long = questions.recovered(np.arange(20))
    assert long == [token for item in range(19, 9, -1) for token in questions.named(item)] + [END]


def test_vectors_are_states_before_and_after(data, words, base, plain, tmp_path):
    reader = Reader(data, words, base / "checkpoint", Bundle(plain), "sasrec", tmp_path, Reading(**FEW))
    history = reader.histories[3]
    for place in (1, 4, len(history)):
        np.testing.assert_allclose(reader.vectors.after(3, place), reader.encoder(history[:place]), atol=1e-5)
    asked = [
        ("residual", [reader.vectors.after(3, 4), reader.vectors.after(3, 5)], reader.questions.named(int(history[4]))),
        ("item", [reader.vectors.items[2]], reader.questions.named(2)),
    ]
    ((tokens, labels, places, numbers, vectors),) = reader.batches(asked)
    for row, (kind, own, answer) in enumerate(sorted(asked, key=lambda one: len(reader.questions.asked[one[0]].tokens) + len(one[2]))):
        assert labels[row][labels[row] != IGNORED].tolist() == answer
        assert (tokens[row, places[row]] == NO_ROW).all()
        np.testing.assert_array_equal(vectors[numbers[row]].numpy(), np.stack(own))


def test_what_stays_as_it_is_and_what_learns(data, words, base, plain, tmp_path):
    before = {name: weight.clone() for name, weight in load_checkpoint(base / "checkpoint")[0].named_parameters()}
    frozen = Reader(data, words, base / "checkpoint", Bundle(plain), "sasrec", tmp_path / "frozen", Reading(**FEW, weights="frozen"))
    first = frozen.layer.weight.detach().clone()
    frozen.run()
    assert all(torch.equal(weight, before[name]) for name, weight in frozen.model.named_parameters())
    assert not torch.equal(frozen.layer.weight, first)
    assert not (tmp_path / "frozen" / "adapter").exists()
    assert torch.equal(load_layer(tmp_path / "frozen").weight, frozen.layer.weight)
    with pytest.raises(Problem, match="has no projector"):
        load_layer(tmp_path)


def test_a_run_resumed_equals_one_not_stopped(data, words, base, plain, run, tmp_path):
    def reader(folder):
        return Reader(data, words, base / "checkpoint", Bundle(plain), "sasrec", folder, Reading(**FEW))

    stopped = reader(tmp_path)
    (tmp_path / "options.json").write_text((run / "options.json").read_text())
    for _ in range(2):
        stopped.advance()
    stopped.save()
    resumed = reader(tmp_path)
    resumed.resume()
    resumed.run()
    assert torch.equal(load_layer(run).weight, load_layer(tmp_path).weight)


def test_the_layer_makes_rows_as_large_as_tokens():
    torch.manual_seed(0)
    states = np.random.default_rng(0).normal(0, 3, (200, 16)).astype(np.float32)
    rows = layer_between(states, 0.2, 32)(torch.tensor(states)).detach()
    assert 0.15 < float(rows.std()) < 0.25


def test_the_rate_rises_by_steps_and_falls():
    rates = [rate(step, 100, 1.0) for step in range(100)]
    assert sorted({round(one, 6) for one in rates[:50]}) == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert rates[50] == 1.0 and rates[-1] < 0.1 and all(a >= b for a, b in zip(rates[50:], rates[51:]))


def test_ranks_are_those_of_all_titles_one_by_one(base, pieces):
    model, _ = load_checkpoint(base / "checkpoint")
    titles = Titles(pieces.titles)
    rows = model.model.embed_tokens(torch.tensor([BEGIN, *pieces.titles[3], END])).detach()
    scores = []
    for title in pieces.titles:
        tokens = [*title, END]
        with torch.inference_mode():
            read = torch.cat([rows, model.model.embed_tokens(torch.tensor(tokens))])[None]
            chances = model(inputs_embeds=read).logits[0, len(rows) - 1 : -1].log_softmax(-1)
        scores.append(float(chances.gather(1, torch.tensor(tokens)[:, None]).sum()))
    scores = np.array(scores)
    for target in (0, 5, 17, 49):
        assert rank_of(model, rows, titles, target, together=7) == (scores >= scores[target] - 1e-4).sum()


def test_a_list_is_the_likeliest_tokens_that_lead_to_new_titles(base, pieces):
    model, _ = load_checkpoint(base / "checkpoint")
    titles = Titles(pieces.titles)
    prompts = [[BEGIN, *pieces.titles[item][:1]] for item in (3, 8)]
    rows = model.model.embed_tokens(torch.tensor(prompts)).detach()
    for prompt, found in zip(prompts, listed(model, rows, titles, 4)):
        tokens, expected = list(prompt), []
        while len(expected) < 4:
            with torch.inference_mode():
                last = model(torch.tensor([tokens])).logits[0, -1]
            if last[END] >= last[[titles.tokens[node] for node in titles.children[-1]]].logsumexp(0):
                break
            left = {(*pieces.titles[item], END): item for item in range(len(pieces.titles)) if item not in expected}
            said = ()
            while said not in left:
                with torch.inference_mode():
                    last = model(torch.tensor([[*tokens, *said]])).logits[0, -1]
                follow = {title[len(said)] for title in left if title[: len(said)] == said}
                said += (max(follow, key=lambda token: float(last[token])),)
            expected.append(left[said])
            tokens += said
        assert found == expected


def test_by_scores_counts_what_is_among_the_best_ten():
    scores = np.arange(30, dtype=float)[None]
    found = by_scores(scores, scores, [{29, 25, 3}], np.array([28]))
    assert found["titles of ten"].mean == 2 and found["residual top-1"].mean == 0 and found["residual MRR"].mean == 0.5


def test_from_events_to_a_bundle_on_the_command_line(world, base, plain, run, tmp_path, capsys):
    events, shared = str(world[0]), ["--titles", str(world[1])]
    about = [*shared, "--base", str(base), "--bundle", str(plain)]
    assert main(["evaluate-interpreter", events, str(run), *about, "--most", "10", "--record", str(tmp_path / "records")]) == 0
    shown = capsys.readouterr().out
    for method in ("popularity", "rows by the state, by the difference of states", "RecInterpreter"):
        assert f"| {method} |" in shown
    assert main(["baselines", events, *shared, "--record", str(tmp_path / "records")]) == 0
    assert main(["results", str(tmp_path / "records"), str(tmp_path / "page.md")]) == 0
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "What states say" in page and "tune-interpreter DATA/events.csv RUN --base BASE --bundle bundle --steps 4" in page
    assert main(["tune-lm", events, str(tmp_path / "lora"), *shared, "--base", str(base), "--recommender", str(plain), "--steps", "2", "--batch", "2"]) == 0  # fmt: skip
    taste = [*shared, "--base", str(base), "--recommender", str(plain), "--bundle", str(plain), "--precision", "f32"]
    assert main(["export-taste", events, str(tmp_path / "lora"), str(tmp_path / "taste"), *taste]) == 0
    put = [*shared, "--base", str(base), "--bundle", str(tmp_path / "taste")]
    assert main(["export-interpreter", events, str(run), str(tmp_path / "out"), *put]) == 0
    asked = Bundle(tmp_path / "out").manifest["interpreters"]["interpreter"]
    assert asked["adapter"] == "interpreter" and asked["encoder"] == "sasrec"
    capsys.readouterr()
    assert main(["export-interpreter", events, str(run), str(tmp_path / "no"), *put[:-1], str(plain)]) == 1
    assert "has no language model" in capsys.readouterr().err
    assert main(["tune-interpreter", events, str(tmp_path / "no"), *about, "--encoder", "other"]) == 1
    assert "has no encoder `other`" in capsys.readouterr().err
    assert main(["train", events, str(tmp_path / "sasrec"), *shared, "--width", "16", "--window", "8", "--epochs", "1", "--seed", "2"]) == 0
    assert main(["export", events, str(tmp_path / "sasrec"), str(tmp_path / "plain"), *shared]) == 0
    other = [*shared, "--base", str(base), "--bundle", str(tmp_path / "plain")]
    for command in ("evaluate-interpreter", "export-interpreter"):
        assert main([command, events, str(run), *([str(tmp_path / "no")] * (command[0:2] == "ex")), *other]) == 1
        assert "has read the states of another encoder" in capsys.readouterr().err


@pytest.mark.oneiro
def test_the_library_says_what_the_run_does(world, data, words, base, plain, run, tmp_path):
    events, shared = str(world[0]), ["--titles", str(world[1])]
    assert main(["tune-lm", events, str(tmp_path / "lora"), *shared, "--base", str(base), "--recommender", str(plain), "--steps", "2", "--batch", "2"]) == 0  # fmt: skip
    taste = [*shared, "--base", str(base), "--recommender", str(plain), "--bundle", str(plain), "--precision", "f32"]
    assert main(["export-taste", events, str(tmp_path / "lora"), str(tmp_path / "taste"), *taste]) == 0
    put = [*shared, "--base", str(base), "--bundle", str(tmp_path / "taste")]
    assert main(["export-interpreter", events, str(run), str(tmp_path / "out"), *put]) == 0
    model, encoder = Reads.load(run, base / "checkpoint", words, data.name), encoder_of(Bundle(plain), "sasrec", data)
    number = {name: item for item, name in enumerate(data.catalog.ids)}

    def asked(history, *question):
        seen = [part for item in history for part in ("--seen", data.catalog.ids[item])]
        command = [ONEIRO, "interpret", str(tmp_path / "out"), *seen, *question, "--json"]
        told = json.loads(subprocess.run(command, capture_output=True, check=True, encoding="utf-8", env=environment()).stdout)
        return [number[one["id"]] for one in told["items"]], [one["score"] for one in told["items"]]

    for history, item in (([3, 4, 5], 6), ([7], 20), (list(range(20, 32)), 1)):
        before, after = states_of(encoder, [np.array(history), np.array([*history, item])])
        items, scores = asked(history, "--residual", data.catalog.ids[item], "-k", "16")
        rows = model.rows("residual", [before, after])
        for one, score in zip(items, scores):
            tokens = model.questions.named(one)
            with torch.inference_mode():
                read = torch.cat([rows, model.model.model.embed_tokens(torch.tensor(tokens))])[None]
                chances = model.model(inputs_embeds=read).logits[0, len(rows) - 1 : -1].log_softmax(-1)
            assert score == pytest.approx(float(chances.gather(1, torch.tensor(tokens)[:, None]).sum()), abs=2e-3)
        items, _ = asked(history, "-k", str(LISTED))
        assert len(items) == len(set(items)) <= LISTED
