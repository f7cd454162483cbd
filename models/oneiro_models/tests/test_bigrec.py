"""BIGRec on a small made-up world: what is written, what it becomes, and what a bundle makes of it."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_world import SMALL, base, data, pieces, words, world  # noqa: F401

from conftest import ONEIRO
from oneiro_models import Problem
from oneiro_models.__main__ import main
from oneiro_models.added import of_titles
from oneiro_models.agree import environment
from oneiro_models.bigrec.evaluate import BEAMS, Written, best
from oneiro_models.bigrec.ground import distances, points, weighed
from oneiro_models.bigrec.options import Writing
from oneiro_models.bigrec.prompts import Prompts, text_of
from oneiro_models.bigrec.tune import Writer, rate
from oneiro_models.bundle import Bundle
from oneiro_models.bundle.table import values
from oneiro_models.llara.documents import IGNORED
from oneiro_models.llara.model import load_checkpoint
from oneiro_models.llara.recommender import recommender
from oneiro_models.llara.tokenizer import BEGIN, END
from oneiro_models.llara.training import options_of

FEW = dict(rows=40, steps=4, batch=4, validate_every=2)


@pytest.fixture(scope="module")
def prompts(base, pieces, data):
    return Prompts(load_checkpoint(base / "checkpoint")[1], pieces.titles, data.name)


def test_a_prompt_is_the_template_with_quoted_titles(base, data, words, prompts):
    tokenizer = load_checkpoint(base / "checkpoint")[1]
    tokens = prompts.prompt(np.arange(12))
    assert tokens[0] == BEGIN and BEGIN not in tokens[1:]
    text = tokenizer.decode(tokens[1:], skip_special_tokens=False)
    quoted = ", ".join(f'"{title}"' for title in words.titles[2:12])
    before, after = text_of(data.name).split('"{history}"')
    assert text == before + quoted + after
    assert after.endswith('\n \n### Response:\n"')
    assert prompts.answer(3) == [*prompts.titles[3], END]


def test_the_whole_text_is_learned_and_the_answer_validates(data, words, base, tmp_path):
    writer = Writer(data, words, base / "checkpoint", tmp_path, Writing(**FEW))
    row = writer.rows[0]
    ((tokens, labels),) = writer.texts([row], whole=True)
    assert labels[0, 0] == IGNORED and (labels[0, 1:] == tokens[0, 1:]).all()
    ((tokens, labels),) = writer.texts([row], whole=False)
    assert labels[0][labels[0] != IGNORED].tolist() == writer.prompts.answer(row[1])
    assert tokens[0, -1] == END
    known = {tuple(history[: place + 1].tolist()) for history in map(np.asarray, walks(data)) for place in range(1, len(history))}
    assert all((*history.tolist(), target) in known for history, target in writer.rows)
    with pytest.raises(Problem, match="training rows, not 100000"):
        Writer(data, words, base / "checkpoint", tmp_path, Writing(**FEW | {"rows": 100_000}))


def walks(data):
    return [data.train.items[events] for events in data.train.sequences()]


def test_the_rate_rises_and_falls_in_a_line():
    rates = [rate(step, 100, 1.0) for step in range(100)]
    assert rates[0] == 0.05 and rates[19] == 1.0 and rates[60] == pytest.approx(0.5)
    assert all(earlier >= later for earlier, later in zip(rates[19:], rates[20:]))


def test_a_writer_resumed_equals_one_not_stopped(data, words, base, tmp_path):
    whole = Writer(data, words, base / "checkpoint", tmp_path / "whole", Writing(**FEW))
    whole.run()
    stopped = Writer(data, words, base / "checkpoint", tmp_path / "parts", Writing(**FEW))
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "options.json").write_text((tmp_path / "whole" / "options.json").read_text())
    for _ in range(2):
        stopped.advance()
    stopped.save()
    resumed = Writer(data, words, base / "checkpoint", tmp_path / "parts", Writing(**FEW))
    resumed.resume()
    resumed.run()
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert (tmp_path / "whole" / "adapter" / "adapter_config.json").is_file()
    assert set(json.loads((tmp_path / "whole" / "adapter" / "adapter_config.json").read_text())["target_modules"]) == {"q_proj", "v_proj"}


def test_it_ends_when_it_gets_no_better(data, words, base, tmp_path):
    writer = Writer(data, words, base / "checkpoint", tmp_path, Writing(**FEW | {"steps": 1000, "patience": 2}))
    writer.history = [{"validation": loss} for loss in (3.0, 2.0, 2.5)]
    assert not writer.is_done()
    writer.history.append({"validation": 2.1})
    assert writer.is_done()


def test_points_are_states_after_the_last_token(base, pieces):
    model, _ = load_checkpoint(base / "checkpoint")
    found = points(model, pieces.titles)
    for title, point in list(zip(pieces.titles, found))[:8]:
        with torch.inference_mode():
            state = model(torch.tensor([[BEGIN, *title]]), output_hidden_states=True).hidden_states[-1][0, -1]
        np.testing.assert_allclose(point, state.numpy(), atol=1e-5)


def test_distances_are_weighed_as_the_paper_has_it():
    generator = np.random.default_rng(0)
    table, near = generator.normal(size=(30, 5)).astype(np.float32), generator.normal(size=(2, 5)).astype(np.float32)
    away = distances(table, near)
    expected = [min(np.linalg.norm(row - point) for point in near) for row in table]
    np.testing.assert_allclose(away, expected, rtol=1e-5)
    weights = generator.normal(size=30)
    weights[4] = -np.inf
    found = weighed(away[None], weights[None], 2.0)[0]
    for item in range(30):
        far = (away[item] - away.min()) / (away.max() - away.min())
        known = weights[np.isfinite(weights)]
        share = 0.0 if item == 4 else (weights[item] - known.min()) / (known.max() - known.min())
        assert found[item] == pytest.approx(far * (1 + share) ** -2)
    assert best([0, 1, 2], lambda gamma: np.array([3, 1, 1])[[gamma]]) == 1


def test_beams_are_those_of_the_library_one_by_one(data, words, base, tmp_path):
    Writer(data, words, base / "checkpoint", tmp_path, Writing(**FEW)).run()
    model = Written.load(tmp_path, base / "checkpoint", words, data.name)
    histories = [np.array([3, 4, 5]), np.arange(12), np.array([1])]
    together = model.texts(histories)
    for history, beams in zip(histories, together):
        assert len(beams) == BEAMS
        asked = torch.tensor([model.prompts.prompt(history)])
        alone = model.tuned.generate(
            asked, num_beams=BEAMS, num_return_sequences=BEAMS, max_new_tokens=48, do_sample=False, eos_token_id=END, pad_token_id=0
        )
        assert model.bare(alone[0, asked.shape[1] :].tolist()) == beams[0]


def test_from_events_to_a_bundle_on_the_command_line(world, base, tmp_path, capsys):
    events, titles = map(str, world)
    shared, run, sasrec, taste = ["--titles", titles], tmp_path / "run", tmp_path / "sasrec", tmp_path / "taste"
    assert main(["train", events, str(sasrec), *shared, "--width", "16", "--epochs", "1"]) == 0
    few = [part for name, value in FEW.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["tune-writer", events, str(run), *shared, "--base", str(base), *few]) == 0
    known = [*shared, "--base", str(base), "--recommender", str(sasrec)]
    assert main(["evaluate-writer", events, str(run), *known, "--record", str(tmp_path / "records")]) == 0
    shown = capsys.readouterr().out
    for method in ("popularity", "SASRec", "BIGRec, 40 training rows", "BIGRec, 40 training rows, all beams"):
        assert f"| {method} |" in shown
    assert "| BIGRec, 40 training rows, weighed by popularity |" in shown and "weighed by SASRec |" in shown and "γ " in shown
    seed = ["--seed", "1"]
    assert main(["tune-writer", events, str(tmp_path / "again"), *shared, "--base", str(base), *few, *seed]) == 0
    assert main(["evaluate-writer", events, str(tmp_path / "again"), *known, "--record", str(tmp_path / "records")]) == 0
    assert main(["results", str(tmp_path / "records"), str(tmp_path / "page.md")]) == 0
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "tune-writer DATA/events.csv RUN --base BASE --rows 40" in page and page.count("| popularity |") == 1
    assert "| BIGRec, 40 training rows, all beams, seed 1 |" in page
    assert "| BIGRec, 40 training rows, weighed by popularity, mean of 2 seeds |" in page

    assert main(["export", events, str(sasrec), str(tmp_path / "plain"), *shared]) == 0
    assert main(["tune-lm", events, str(tmp_path / "lora"), *known, "--steps", "2", "--batch", "2"]) == 0
    chosen = ["--bundle", str(tmp_path / "plain"), "--precision", "f32"]
    assert main(["export-taste", events, str(tmp_path / "lora"), str(taste), *known, *chosen]) == 0
    out, given = str(tmp_path / "out"), [*shared, "--base", str(base), "--bundle", str(taste)]
    assert main(["export-writer", events, str(run), out, *given, "--weigh", "popularity", "--gamma", "0.5"]) == 0
    bundle = Bundle(tmp_path / "out")
    assert bundle.manifest["generators"]["bigrec"] == {
        "prompt": "bigrec", "space": "lm.titles", "beams": 4, "tokens": 48, "weigh": "popularity", "gamma": 0.5,
    }  # fmt: skip
    assert set(bundle.manifest["language_models"]["lm"]["adapters"]) == {"taste", "bigrec"}
    np.testing.assert_allclose(values(bundle.space("lm.titles")), of_titles(bundle, "lm", 50), atol=2e-2)
    wrong = [*given[:-1], str(tmp_path / "plain")]
    assert main(["export-writer", events, str(run), str(tmp_path / "no"), *wrong]) == 1
    assert "has no language model" in capsys.readouterr().err
    assert main(["export-writer", events, str(run), str(tmp_path / "no"), *given, "--gamma", "2"]) == 1
    assert "--gamma says how much --weigh counts" in capsys.readouterr().err
    other = tmp_path / "other"
    shutil.copytree(base, other)
    weights = load_file(other / "checkpoint" / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    drawn = {name: torch.randn(tensor.shape, generator=generator) for name, tensor in weights.items()}
    save_file(drawn, other / "checkpoint" / "model.safetensors", {"format": "pt"})
    assert main(["export-writer", events, str(run), str(tmp_path / "no"), *given, "--base", str(other)]) == 1
    assert "it makes other points of the titles" in capsys.readouterr().err
    with pytest.raises(Problem, match="lora holds another kind of run"):
        options_of(tmp_path / "lora", Writing)


@pytest.mark.oneiro
def test_the_library_writes_what_the_run_does(world, data, words, base, tmp_path):
    events, titles = map(str, world)
    shared, run, sasrec = ["--titles", titles], tmp_path / "run", tmp_path / "sasrec"
    assert main(["train", events, str(sasrec), *shared, "--width", "16", "--epochs", "1"]) == 0
    few = [part for name, value in FEW.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["tune-writer", events, str(run), *shared, "--base", str(base), *few]) == 0
    known = [*shared, "--base", str(base), "--recommender", str(sasrec)]
    assert main(["export", events, str(sasrec), str(tmp_path / "plain"), *shared]) == 0
    assert main(["tune-lm", events, str(tmp_path / "lora"), *known, "--steps", "2", "--batch", "2"]) == 0
    chosen = ["--bundle", str(tmp_path / "plain"), "--precision", "f32"]
    assert main(["export-taste", events, str(tmp_path / "lora"), str(tmp_path / "taste"), *known, *chosen]) == 0
    given = [*shared, "--base", str(base), "--bundle", str(tmp_path / "taste")]
    assert main(["export-writer", events, str(run), str(tmp_path / "out"), *given]) == 0
    weighs = ["--weigh", "encoder", "--gamma", "1.5"]
    assert main(["export-writer", events, str(run), str(tmp_path / "weighed"), *given, *weighs]) == 0
    known = recommender(tmp_path / "weighed", data)
    model = Written.load(run, base / "checkpoint", words, data.name)
    table = points(model.untuned, model.prompts.titles)
    number = {name: item for item, name in enumerate(data.catalog.ids)}
    for history in ([3, 4, 5], [7], list(range(20, 32))):
        seen = [part for item in history for part in ("--seen", data.catalog.ids[item])]
        (beams,) = model.texts([np.array(history)])
        away = distances(table, points(model.untuned, beams[:1]))
        for bundle, expected in (("out", away), ("weighed", weighed(away, known.score([np.array(history)])[0], 1.5))):
            asked = ["--by", "generate", "--allow-seen", "-k", str(data.items), "--json"]
            command = [ONEIRO, "recommend", str(tmp_path / bundle), *seen, *asked]
            told = json.loads(subprocess.run(command, capture_output=True, check=True, encoding="utf-8", env=environment()).stdout)
            assert len(told["items"]) == data.items
            for one in told["items"]:
                # Rows are kept in f16.
                assert one["score"] == pytest.approx(-expected[number[one["id"]]], abs=2e-2)
