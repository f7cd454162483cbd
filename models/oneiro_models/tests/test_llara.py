"""LLaRA on a small made-up world: what is read, what is learned, and what is asked."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from oneiro_models import Problem
from oneiro_models.__main__ import main
from oneiro_models.bundle import Bundle
from oneiro_models.checkpoint import PROJECTIONS, Checkpoint
from oneiro_models.decoder import MASKED
from oneiro_models.golden_lm import question
from oneiro_models.language_model import LanguageModel, piece, titled, tokenizer_of
from oneiro_models.llara.documents import IGNORED, Documents, Packed, answered, listed, spelled
from oneiro_models.llara.heldout import questions
from oneiro_models.llara.judge import matches, title_scores, written
from oneiro_models.llara.model import labelled_loss, load_checkpoint
from oneiro_models.llara.options import Pretraining, Tuning
from oneiro_models.llara.pretrain import Stage1
from oneiro_models.llara.projector import Projector, embedded
from oneiro_models.llara.prompts import Choice, answer, choice, prompt
from oneiro_models.llara.recommender import recommender
from oneiro_models.llara.schedule import hybrid_odds, learning_rate
from oneiro_models.llara.tokenizer import BEGIN, END, NO_ROW, ROW_OF_CANDIDATE, ROW_OF_HISTORY, Pieces
from oneiro_models.llara.tune import Stage2, asked
from oneiro_models.llara.tuned import Tuned, projected
from oneiro_models.llara.words import cut, histories, without_year
from oneiro_models.lora import Adapter
from small_world import SMALL, base, data, pieces, taste, words, world  # noqa: F401

FEW = dict(steps=4, batch=4)
QUESTION = Choice(np.array([3, 4, 5]), np.array([8, 6, 2]), 6, 1)


def test_titles_lose_their_year_and_have_their_article_in_front():
    assert without_year("Matrix, The (1999)") == "The Matrix"
    assert without_year("Affair to Remember, An (1957)") == "An Affair to Remember"
    assert without_year("Good, the Bad and the Ugly, The (1966)") == "The Good, the Bad and the Ugly"
    assert without_year("Theodore, Arthur") == "Theodore, Arthur"


def test_a_template_has_two_slots_and_no_space_at_its_end():
    assert cut("a {history} b {candidates} c:") == ("a ", " b ", " c:")
    turned, twice = "{candidates} {history}:", "{history}{history}{candidates}:"
    for wrong in ("{history}", turned, twice, "{history} {candidates}", "{history} {candidates}: "):
        with pytest.raises(Problem, match="the template"):
            cut(wrong)


def test_pieces_are_encoded_as_the_runtime_does(base, words, pieces):
    checkpoint = Checkpoint(base / "checkpoint")
    plain = tokenizer_of(checkpoint.tokenizer)
    assert pieces.titles == [titled(plain, title, None) for title in words.titles]
    assert pieces.templates[0] == tuple(piece(plain, text) for text in cut(words.templates[0]))
    assert len(pieces.between) == 1
    title = pieces.titles[7]
    assert BEGIN not in title  # a title with the name of a special token is text
    tokenizer = load_checkpoint(base / "checkpoint")[1]
    for own, title in zip(pieces.titles, words.titles):
        assert tokenizer.decode(own) == title


def test_a_prompt_has_its_items_in_order_and_ends_where_the_answer_begins(pieces):
    found = prompt(pieces, QUESTION, rows=True)
    assert found.tokens[0] == BEGIN and found.tokens.count(BEGIN) == 1
    assert found.items == [3, 4, 5, 8, 6, 2]
    assert [found.tokens[place] for place in found.places] == [ROW_OF_HISTORY] * 3 + [ROW_OF_CANDIDATE] * 3
    for place, item in zip(found.places, found.items):
        title = pieces.titles[item]
        assert found.tokens[place - len(title) : place] == title
    alone = prompt(pieces, QUESTION, rows=False)
    assert alone.places == [] and alone.tokens.count(NO_ROW) == 6 and len(alone.tokens) == len(found.tokens)
    before, _, after = pieces.templates[1]
    assert found.tokens[1 : 1 + len(before)] == before and found.tokens[-len(after) :] == after


def test_the_second_beginning_the_answer_and_its_end_are_learned(pieces):
    choices = [QUESTION, replace(QUESTION, history=np.array([1, 3, 4, 5]))]
    ((tokens, labels, places, items),) = asked(pieces, choices, hybrid=True)
    for row, one, own in zip(tokens.tolist(), labels.tolist(), places):
        learned = [token for token in one if token != IGNORED]
        assert learned == [BEGIN, *pieces.titles[6], END]
        start = one.index(BEGIN)
        assert row[start : start + len(learned)] == learned and max(own) < start
    assert items == [[3, 4, 5, 8, 6, 2], [1, 3, 4, 5, 8, 6, 2]]
    ((_, more, _, _),) = asked(pieces, choices, hybrid=True, history=True)
    for row, one, before, own in zip(tokens.tolist(), labels.tolist(), more.tolist(), places):
        end = own[-4] + 1  # after the last of the history's rows
        titles = [IGNORED if place in own else token for place, token in enumerate(row)]
        assert before == [IGNORED, *titles[1:end], *one[end:]]


def test_documents_learn_histories_and_answers_but_not_what_comes_by_lot(pieces):
    tokens, labels = listed(pieces, [3, 4])
    assert tokens == [BEGIN, *pieces.titles[3], END, *pieces.between, *pieces.titles[4], END] and labels == [IGNORED, *tokens[1:]]
    tokens, labels = spelled(pieces, 7)
    assert tokens == [BEGIN, *answer(pieces, 7)] and labels == [IGNORED, IGNORED, *tokens[2:]]
    said = [BEGIN, *answer(pieces, 6), BEGIN, *answer(pieces, 8)]
    tokens, labels = answered(prompt(pieces, QUESTION, rows=False), said, history=True)
    assert all(label in (IGNORED, token) for token, label in zip(tokens, labels))
    history = [NO_ROW if place == len(found) else found[place] for found in [pieces.titles[5]] for place in range(len(found) + 1)]
    before, between, _ = pieces.templates[1]
    text = before + [token for item in (3, 4) for token in [*pieces.titles[item], NO_ROW, *pieces.between]] + history
    learned = [IGNORED if token == NO_ROW else token for token in text]
    assert labels[1 : 1 + len(text)] == learned
    assert [label for label in labels if label != IGNORED] == [label for label in learned if label != IGNORED] + said


def test_the_answers_of_a_document_are_among_its_candidates_and_came_next(data, pieces):
    documents = Documents(pieces, histories(data), data.items, prompts=1.0)
    generator, several = np.random.default_rng(0), 0
    for _ in range(80):
        tokens, _ = documents.draw(generator)
        if NO_ROW not in tokens:
            continue
        asked, *answers = " ".join(map(str, tokens[1:])).split(f" {BEGIN} ")
        for item in answers:
            title = " ".join(item.split()[:-1])
            assert item.endswith(f" {END}") and f"{title} {NO_ROW}" in asked
        several += len(answers) > 1
    assert several > 10


def test_packed_documents_do_not_see_each_other(base, pieces):
    model, _ = load_checkpoint(base / "checkpoint")
    documents = [listed(pieces, [3, 4, 5]), listed(pieces, [8, 6])]
    together = Packed.of([documents], 64)
    apart = [Packed.of([[document]], 64) for document in documents]

    def loss(packed):
        return labelled_loss(model, model.model.embed_tokens(packed.tokens), packed.labels, packed.attends, packed.positions)

    total, count = loss(together)
    parts = [loss(packed) for packed in apart]
    assert count == sum(count for _, count in parts)
    assert total.item() == pytest.approx(sum(part.item() for part, _ in parts), rel=1e-5)


def test_stage_1_reads_training_events_alone(data, pieces):
    documents = Documents(pieces, histories(data), data.items, prompts=0.0)
    pasts = {tuple(history.tolist()) for history in histories(data)}
    generator = np.random.default_rng(0)
    for _ in range(100):
        tokens, _ = documents.draw(generator)
        if tokens.count(END) == 1:
            continue
        style = next(style for style in pieces.styles if tuple(tokens[1 : 1 + tokens[1:].index(END)]) in map(tuple, style))
        number = {tuple(title): item for item, title in enumerate(style)}
        parts, rest = [], tokens[1:]
        while rest:
            end = rest.index(END)
            parts.append(number[tuple(rest[:end])])
            rest = rest[end + 1 + len(pieces.between) :]
        assert any(past[start : start + len(parts)] == tuple(parts) for past in pasts for start in range(len(past)))


def test_questions_are_the_same_for_everybody(data):
    rows = data.validation_rows()
    first, again = (questions(rows, data.items, 3, 3, 10, 20) for _ in range(2))
    assert len(first) == 20
    for one, other in zip(first, again):
        assert (one.candidates == other.candidates).all() and one.template == other.template
        assert len(set(one.candidates.tolist())) == 20 and one.target in one.candidates
        assert not set(one.candidates.tolist()) & (set(one.history.tolist()) - {one.target})


def test_candidates_stand_in_any_order():
    generator = np.random.default_rng(0)
    places = [np.flatnonzero(choice(generator, np.array([1, 2]), 5, 40, 3).candidates == 5)[0] for _ in range(400)]
    assert set(places) == set(range(20))


def test_the_curriculum():
    assert [hybrid_odds("ramp", step, 100) for step in (0, 50, 100)] == [0, 0.5, 1]
    assert [hybrid_odds("saw-tooth", step, 100) for step in (0, 19, 20, 39, 99)] == [0, 0.19, 0, 0.19, 0.19]
    assert hybrid_odds("hybrid", 0, 100) == 1 and hybrid_odds("text", 99, 100) == 0


def test_the_learning_rate_warms_up_and_falls_to_its_floor():
    rates = [learning_rate(step, 100, 1.0) for step in range(101)]
    assert rates[0] == pytest.approx(0.01) and max(rates) <= 1 and rates[100] == pytest.approx(0.01)
    assert all(later < earlier for earlier, later in zip(rates[5:], rates[6:]))


@pytest.fixture
def equal():
    def check(one, other):
        assert all(torch.equal(weight, twin) for weight, twin in zip(one.parameters(), other.parameters(), strict=True))

    return check


def test_stage_1_resumed_equals_not_stopped(data, words, base, tmp_path, equal):
    stopped = Stage1(data, words, tmp_path, Pretraining(**SMALL))
    stopped.folder.mkdir(exist_ok=True)
    (tmp_path / "options.json").write_text((base / "options.json").read_text())
    for _ in range(2):
        stopped.advance()
    stopped.save()
    resumed = Stage1(data, words, tmp_path, Pretraining(**SMALL))
    resumed.resume()
    resumed.run()
    whole = Stage1(data, words, base, Pretraining(**SMALL))
    whole.resume()
    equal(resumed.model, whole.model)
    with pytest.raises(Problem, match="already holds a run"):
        Stage1(data, words, base, Pretraining(**SMALL)).run()


@pytest.mark.parametrize("weights", ["lora", "full"])
def test_stage_2_resumed_equals_not_stopped(data, words, base, taste, tmp_path, equal, weights):
    options = Tuning(**FEW, curriculum="ramp", weights=weights)
    whole = Stage2(data, words, base / "checkpoint", taste, tmp_path / "whole", options)
    whole.run()
    stopped = Stage2(data, words, base / "checkpoint", taste, tmp_path / "parts", options)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "options.json").write_text((tmp_path / "whole" / "options.json").read_text())
    for _ in range(2):
        stopped.advance()
    stopped.save()
    resumed = Stage2(data, words, base / "checkpoint", taste, tmp_path / "parts", options)
    resumed.resume()
    resumed.run()
    equal(resumed.model, whole.model)
    equal(resumed.projector, whole.projector)
    assert (tmp_path / "parts" / "projector.safetensors").is_file()


def test_stage_2_changes_the_adapter_and_leaves_the_base(data, words, base, taste, tmp_path):
    run = Stage2(data, words, base / "checkpoint", taste, tmp_path, Tuning(**FEW, curriculum="hybrid"))
    before = {name: weight.clone() for name, weight in run.model.named_parameters()}
    projector = run.projector.inner.weight.clone()
    run.run()
    for name, weight in run.model.named_parameters():
        assert torch.equal(weight, before[name]) != ("lora" in name), name
    assert sum("lora_A" in name for name in before) == SMALL["layers"] * len(PROJECTIONS)
    assert not torch.equal(run.projector.inner.weight, projector)
    text = Stage2(data, words, base / "checkpoint", taste, tmp_path / "text", Tuning(**FEW, curriculum="text"))
    projector = text.projector.inner.weight.clone()
    text.run()
    assert torch.equal(text.projector.inner.weight, projector) and text.hybrid == 0


def test_the_adapter_is_read_as_it_was_written(data, words, base, taste, tmp_path):
    run = Stage2(data, words, base / "checkpoint", taste, tmp_path, Tuning(**FEW, curriculum="hybrid"))
    run.run()
    merged = Tuned.load(tmp_path, base / "checkpoint", words, taste.rows).model
    read_back = Checkpoint(base / "checkpoint", Adapter(tmp_path / "adapter"))
    for layer in range(SMALL["layers"]):
        for projection in PROJECTIONS:
            own = merged.get_parameter(f"model.layers.{layer}.{projection}.weight").detach().numpy()
            np.testing.assert_allclose(read_back.matrix(layer, projection), own, atol=1e-6)
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["r"] == 8


def test_rows_take_the_places_of_their_items(taste):
    known = torch.randn(8, 16)
    projector, tokens = Projector.between(taste.rows, known), torch.zeros(2, 6, 16)
    found = embedded(tokens, [[1, 3], [4]], [[7, 2], [9]], torch.tensor(taste.rows), projector)
    own = projector(torch.tensor(taste.rows))
    assert torch.allclose(found[0, 1], own[7]) and torch.allclose(found[0, 3], own[2]) and torch.allclose(found[1, 4], own[9])
    assert not found[0, [0, 2, 4, 5]].any() and not found[1, [0, 1, 2, 3, 5]].any()
    # A hybrid prompt begins as one of text.
    apart = (own - known[NO_ROW]).detach()
    assert 0.05 < float(apart.std()) < 0.5


def test_a_projector_must_fit_its_rows(taste, tmp_path):
    Projector(8, 16).save(tmp_path)
    assert projected(tmp_path, taste.rows).shape == (50, 16)
    with pytest.raises(Problem, match="reads rows of 8 numbers, the recommender's have 7"):
        projected(tmp_path, taste.rows[:, :7])
    with pytest.raises(Problem, match="has no projector.safetensors"):
        Projector.load(tmp_path / "nowhere")


def test_titles_are_scored_together_as_one_by_one(base, pieces):
    model, _ = load_checkpoint(base / "checkpoint")
    titles = [answer(pieces, item) for item in range(30)] + [[END]]
    tokens = prompt(pieces, QUESTION, rows=False).tokens + [BEGIN]
    found = title_scores(model, model.model.embed_tokens(torch.tensor(tokens)).detach(), titles)
    for title, score in zip(titles, found.tolist()):
        with torch.inference_mode():
            logits = model(torch.tensor([tokens + title])).logits[0].double().log_softmax(-1)[len(tokens) - 1 : -1]
        assert score == pytest.approx(logits.gather(1, torch.tensor(title)[:, None]).sum().item(), abs=1e-4)


def test_among_titles_a_token_competes_with_those_that_go_on_with_them(base, pieces):
    model, _ = load_checkpoint(base / "checkpoint")
    titles = [[*answer(pieces, 3)], [*answer(pieces, 4)], [*answer(pieces, 3)[:-1], 40, END]]
    tokens = prompt(pieces, QUESTION, rows=False).tokens + [BEGIN]
    read = model.model.embed_tokens(torch.tensor(tokens)).detach()
    found = title_scores(model, read, titles, among_titles=True)
    for title, score in zip(titles, found.tolist()):
        expected = 0.0
        for place, token in enumerate(title):
            with torch.inference_mode():
                logits = model(torch.tensor([tokens + title[:place]])).logits[0, -1].double()
            others = sorted({other[place] for other in titles if other[:place] == title[:place] and len(other) > place})
            expected += (logits[token] - logits[others].logsumexp(0)).item()
        assert score == pytest.approx(expected, abs=1e-4)
    assert title_scores(model, read, titles[:1], among_titles=True).tolist() == [0.0]


def test_greedy_words_are_those_of_the_library(base, pieces):
    model, _ = load_checkpoint(base / "checkpoint")
    tokens = prompt(pieces, QUESTION, rows=False).tokens + [BEGIN]
    found = written(model, model.model.embed_tokens(torch.tensor(tokens)).detach(), most=8)
    theirs = model.generate(torch.tensor([tokens]), max_new_tokens=8, do_sample=False)[0, len(tokens) :].tolist()
    assert found == theirs[: theirs.index(END) if END in theirs else None]


def test_an_answer_is_valid_if_one_title_is_in_it():
    assert matches(" Jaws 2\nHeat", ["Jaws", "Jaws 2", "Heat"]) == [0, 1]
    assert matches("I say HEAT", ["Jaws", "Jaws 2", "Heat"]) == [2]
    assert matches("", ["Jaws"]) == []


def test_from_events_to_figures_on_the_command_line(world, base, tmp_path, capsys):
    events, titles = map(str, world)
    shared, run = ["--titles", titles], str(tmp_path / "run")
    sasrec, lm = str(tmp_path / "sasrec"), str(tmp_path / "lm")
    assert main(["train", events, sasrec, *shared, "--width", "16", "--epochs", "1"]) == 0
    small = [part for name, value in SMALL.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["train-lm", events, lm, *shared, *small]) == 0
    known = [*shared, "--base", lm, "--recommender", sasrec]
    assert main(["tune-lm", events, run, *known, "--steps", "2", "--batch", "2"]) == 0
    assert main(["evaluate-lm", events, run, *known, "--most", "5", "--record", str(tmp_path / "records")]) == 0
    shown = capsys.readouterr().out
    assert all(f"| {method} |" in shown for method in ("popularity", "Markov", "SASRec", "hybrid, constrained", "hybrid, free"))
    assert main(["evaluate-lm", events, f"{lm}/checkpoint", *known, "--most", "5"]) == 0
    assert "| text, constrained |" in capsys.readouterr().out
    assert main(["evaluate-lm", events, run, *known, "--most", "5", "--rerank", "--record", str(tmp_path / "records")]) == 0
    assert "| LLaRA, the curriculum over the best 20 of SASRec |" in capsys.readouterr().out
    assert main(["results", str(tmp_path / "records"), str(tmp_path / "page.md")]) == 0
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "tune-lm DATA/events.csv RUN --base BASE --recommender sasrec --steps 2 --batch 2 && " in page
    assert f"train-lm DATA/events.csv BASE --vocabulary {SMALL['vocabulary']} " in page and str(tmp_path) not in page


def test_a_bundle_asks_as_the_run_does(world, data, words, base, tmp_path):
    events, titles = map(str, world)
    shared, run, sasrec, plain = ["--titles", titles], tmp_path / "run", tmp_path / "sasrec", tmp_path / "plain"
    known = ["--base", str(base), "--recommender", str(sasrec)]
    assert main(["train", events, str(sasrec), *shared, "--width", "16", "--epochs", "1"]) == 0
    assert main(["export", events, str(sasrec), str(plain), *shared]) == 0
    assert main(["tune-lm", events, str(run), *shared, *known, "--steps", "3", "--batch", "4", "--curriculum", "hybrid"]) == 0
    hybrid = Tuned.load(run, base / "checkpoint", words, recommender(sasrec, data).rows)
    text = replace(hybrid, table=None)
    one = Choice(np.array([3, 4, 5]), np.array([8, 6, 2]), 6, 0)
    for merged in (True, False):
        out = tmp_path / f"merged {merged}"
        chosen = ["--bundle", str(plain), "--precision", "f32", *["--merged"] * merged]
        assert main(["export-taste", events, str(run), str(out), *shared, *known, *chosen]) == 0
        bundle = Bundle(out)
        for name, model in (("taste", hybrid), ("text", text)):
            asked = bundle.manifest["prompts"][name]
            own = LanguageModel(bundle, asked["language_model"], asked.get("adapter"))
            rows = question(bundle, own, asked, one.history, one.candidates)
            causal = np.triu(np.full((len(rows),) * 2, MASKED), 1)
            hidden, past = own.run(rows, np.arange(len(rows)), causal, own.empty())
            found = own._scored(hidden, past, [titled(own.tokenizer, words.titles[item], own.end) for item in one.candidates])
            # The projected rows are kept in f16.
            assert found == pytest.approx(model.scores(one).tolist(), abs=1e-2 if name == "taste" else 1e-3)
    with pytest.raises(SystemExit):
        main(["export-taste", events, str(run), str(out), *shared])
    assert main(["export-taste", events, str(run), str(tmp_path / "no"), *shared, *known[2:], "--bundle", str(plain)]) == 1
