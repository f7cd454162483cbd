"""MCRL's losses and heads against plain numpy."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from oneiro_models.batches import Batch, Draws
from oneiro_models.bundle import Catalog
from oneiro_models.data import Dataset, Events, read
from oneiro_models.loss import full_softmax
from oneiro_models.networks import BACKBONES, Shape
from oneiro_models.networks import mcrl as module
from oneiro_models.networks.mcrl import followed, others
from oneiro_models.options import Options
from oneiro_models.reinforcement import blended, reward_contrast, targets_of, transition_contrast
from oneiro_models.train import Scorer, Training, load_run

FEW = dict(window=4, width=8, dropout=0.0, learning_rate=0.01, epochs=3, patience=3, batch=64, seen="allow")
NONE = torch.zeros(9, dtype=torch.bool)


def network(kind="sasrec", separate=False, twin=True, **options):
    """A small network of 9 items with weights drawn at random, and its twin with others."""
    torch.manual_seed(3)
    options = Options.chosen("mcrl", backbone=kind, **FEW | options)
    made = BACKBONES[kind].chosen(Shape(9, 8, 4, 2, separate), options)
    made.start(0.5)
    for one in made.copies():
        one.eval()
    if not twin:
        made.twin = None
    return made


def batch(**changed):
    given = {
        "histories": [[3, 1, 9, 9], [9, 9, 9, 9], [2, 4, 6, 8], [1, 3, 9, 9]],
        "lengths": [2, 0, 4, 2],
        "targets": [1, 5, 2, 1],
        "weights": [1.0, 1.0, 2.0, 1.0],
        "rewards": [0.2, 1.0, 0.2, 1.0],
        "done": [False, False, False, True],
    } | changed
    return Batch(**{name: torch.tensor(column) for name, column in given.items()})


def numpy_of(tensor):
    return tensor.detach().numpy().astype(np.float64)


def log_sum_exp(values):
    return np.log(np.exp(values - values.max()).sum()) + values.max()


def test_a_target_is_the_reward_and_what_comes_after_unless_nothing_does():
    rewards, done, ahead = torch.tensor([1.0, 0.2, 0.2]), torch.tensor([True, False, False]), torch.tensor([9.0, 2.0, -1.0])
    assert targets_of(rewards, done, ahead, 0.5).tolist() == pytest.approx([1.0, 1.2, -0.3])


def test_the_conservative_term_is_a_softmax_of_the_heated_values():
    generator = np.random.default_rng(0)
    states, rows, bias = generator.normal(size=(5, 3)), generator.normal(size=(7, 3)), generator.normal(size=7)
    actions = [1, 0, 6, 1, 2]
    values, heat = states @ rows.T + bias, 0.5
    expected = np.mean([heat * log_sum_exp(q / heat) - q[action] for q, action in zip(values, actions)])
    given = (torch.tensor(value, dtype=torch.float64) for value in (states / heat, rows, bias / heat))
    cold, weights = torch.zeros(7, dtype=torch.bool), torch.ones(5, dtype=torch.float64)
    assert heat * full_softmax(*given, torch.tensor(actions), weights, cold).item() == pytest.approx(expected, rel=1e-12)


def test_an_action_competes_with_those_of_its_state_and_the_states_of_its_action():
    scores, actions = np.random.default_rng(1).normal(size=(4, 4)), [5, 2, 5, 7]
    expected = []
    for row in range(4):
        apart = [other for other in range(4) if actions[other] != actions[row]]
        rivals = [scores[row, row], *(scores[row, other] for other in apart), *(scores[other, row] for other in apart)]
        expected.append(log_sum_exp(np.array(rivals)) - scores[row, row])
    assert reward_contrast(torch.tensor(scores), torch.tensor(actions)).tolist() == pytest.approx(expected)


def test_a_predicted_state_competes_with_other_states_and_other_predictions():
    generator = np.random.default_rng(2)
    right, wrong, after = generator.normal(size=(3, 5)), generator.normal(size=(3, 2, 5)), generator.normal(size=(3, 5))

    def cosine(one, other):
        return one @ other / np.linalg.norm(one) / np.linalg.norm(other)

    expected = []
    for row in range(3):
        rivals = [cosine(right[row], after[other]) for other in range(3)] + [cosine(one, after[row]) for one in wrong[row]]
        expected.append(log_sum_exp(np.array(rivals) / 0.1) - rivals[row] / 0.1)
    found = transition_contrast(*(torch.tensor(states) for states in (right, wrong, after)), 0.1)
    assert found.tolist() == pytest.approx(expected)


def test_a_history_moves_on_by_the_item_chosen():
    histories, lengths = followed(batch().histories, batch().lengths, batch().targets, Shape(9, window=4))
    assert histories.tolist() == [[3, 1, 1, 9], [5, 9, 9, 9], [4, 6, 8, 2], [1, 3, 1, 9]]
    assert lengths.tolist() == [3, 1, 4, 3]
    short = followed(torch.tensor([[3, 1], [9, 9]]), torch.tensor([2, 0]), torch.tensor([7, 8]), Shape(9, window=4))
    assert short[0].tolist() == [[3, 1, 7], [8, 9, 9]] and short[1].tolist() == [3, 1]


def test_other_items_are_neither_cold_nor_the_one_chosen():
    cold = torch.tensor([True, False, False, True, False, False])
    drawn = others(torch.tensor([1, 2, 4, 5]), 200, cold)
    for row, item in zip(drawn, (1, 2, 4, 5)):
        assert set(row.tolist()) == {1, 2, 4, 5} - {item}
    assert 0 not in drawn and 3 not in drawn


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("kind", list(BACKBONES))
def test_values_follow_the_formula_and_are_the_same_for_some_items_alone(kind, separate):
    made = network(kind, separate)
    states = made(batch().histories, batch().lengths)
    weights = {name: numpy_of(tensor) for name, tensor in made.state_dict().items()}
    query = numpy_of(states) @ weights["value.weight"].T + weights["value.bias"]
    expected = query if separate or kind == "caser" else query @ weights["items.weight"][:9].T
    assert numpy_of(made.values(states)) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    items = torch.tensor([[0, 8, 3], [1, 1, 2], [5, 4, 0], [7, 6, 8]])
    found = numpy_of(made.values_of(states, items))
    assert found == pytest.approx(np.take_along_axis(expected, items.numpy(), 1), rel=1e-5, abs=1e-6)
    assert numpy_of(made.values_of(states, items[:, 0])) == pytest.approx(found[:, 0])


def test_of_equal_values_the_lower_item_is_best():
    made = network()
    with torch.no_grad():
        made.value.weight.zero_(), made.value.bias.zero_()
    assert made.best(torch.ones(2, 8), NONE).tolist() == [0, 0]
    assert made.best(torch.ones(2, 8), torch.arange(9) < 3).tolist() == [3, 3]


def naive_loss(one, other, b, wrong, unchosen):
    """Every term of the loss, row by row; the states come from the networks, which have tests of their own."""
    o, rows = one.options, range(4)
    z, z_other = (numpy_of(net(b.histories, b.lengths)) for net in (one, other))
    after = followed(b.histories, b.lengths, b.targets, one.shape)
    z_next, z_next_other = (numpy_of(net(*after)) for net in (one, other))
    weights = {name: numpy_of(tensor) for name, tensor in one.state_dict().items()}
    weights_other = {name: numpy_of(tensor) for name, tensor in other.state_dict().items()}
    rows_read = weights["items.weight"][:9]

    def q(states, of):
        return (states @ of["value.weight"].T + of["value.bias"]) @ of["items.weight"][:9].T

    def g(state, item):
        inner = np.concatenate([state, rows_read[item]]) @ weights["transition.0.weight"].T + weights["transition.0.bias"]
        return np.maximum(inner, 0) @ weights["transition.2.weight"].T + weights["transition.2.bias"]

    def cosine(x, y):
        return x @ y / np.linalg.norm(x) / np.linalg.norm(y)

    a, r, done = b.targets.tolist(), b.rewards.tolist(), b.done.tolist()
    supervised, value, conservative, reward, transition = (np.zeros(4) for _ in range(5))
    rho = z @ weights["reward.weight"].T @ rows_read.T / o.sharpness
    for i in rows:
        supervised[i] = log_sum_exp(z[i] @ rows_read.T) - z[i] @ rows_read[a[i]]
        own = q(z, weights)[i]
        ahead = q(z_next_other, weights_other)[i][q(z_next, weights)[i].argmax()]
        value[i] = (r[i] + o.discount * (0 if done[i] else ahead) - own[a[i]]) ** 2 / 2
        stay = o.discount * q(z_other, weights_other)[i][own.argmax()]
        value[i] += sum((stay - own[item]) ** 2 / 2 for item in unchosen[i])
        conservative[i] = o.temperature * log_sum_exp(own / o.temperature) - own[a[i]]
        apart = [j for j in rows if a[j] != a[i]]
        rivals = [rho[i, a[i]], *(rho[i, a[j]] for j in apart), *(rho[j, a[i]] for j in apart)]
        reward[i] = r[i] * (log_sum_exp(np.array(rivals)) - rho[i, a[i]])
        sims = [cosine(g(z[i], a[i]), z_next[j]) for j in rows] + [cosine(g(z[i], item), z_next[i]) for item in wrong[i]]
        transition[i] = log_sum_exp(np.array(sims) / o.sharpness) - sims[i] / o.sharpness
    total = supervised + o.value * value + o.conservative * conservative + o.reward * reward + o.transition * transition
    return np.average(total, weights=b.weights.numpy())


def test_the_whole_loss_follows_the_formulas(monkeypatch):
    wrong, unchosen = torch.tensor([[0, 2], [4, 6], [8, 8], [3, 0]]), torch.tensor([[7], [0], [3], [8]])
    monkeypatch.setattr(module, "others", lambda items, count, cold: {2: wrong, 1: unchosen}[count])
    monkeypatch.setattr(module, "WRONG", 2)
    made = network(value=0.7, conservative=0.3, reward=0.4, transition=0.6, negatives=1, discount=0.5)
    for one, other in ((made, made.twin), (made.twin, made)):
        expected = naive_loss(one, other, batch(), wrong.tolist(), unchosen.tolist())
        assert one.own_loss(other, batch(), NONE, "allow").item() == pytest.approx(expected, rel=1e-5)


def test_without_its_terms_it_is_the_network_below():
    alone = network(value=0.0, conservative=0.0, reward=0.0, transition=0.0)
    assert alone.twin is None
    states = alone(batch().histories, batch().lengths)
    expected = full_softmax(states, alone.table, None, batch().targets, batch().weights, NONE)
    assert alone.loss(batch(), NONE, "allow").item() == pytest.approx(expected.item())


def test_without_the_value_term_there_is_no_twin():
    assert network(value=0.0).twin is None and network(conservative=0.0).twin is not None
    assert network(value=0.0).valued and not network(value=0.0, conservative=0.0).valued


def test_an_event_without_reward_is_no_positive():
    alone = network(value=0.0, conservative=0.0, reward=0.0, transition=0.0)
    without = batch(rewards=[1.0, 0.0, 1.0, 0.0])
    states = alone(without.histories, without.lengths)[[0, 2]]
    expected = full_softmax(states, alone.table, None, torch.tensor([1, 2]), torch.tensor([1.0, 2.0]), NONE)
    assert alone.loss(without, NONE, "allow").item() == pytest.approx(expected.item())
    assert alone.loss(batch(rewards=[0.0] * 4), NONE, "allow").item() == 0


def test_a_step_trains_one_network_on_what_the_other_values():
    made, drawn = network(), set()
    for seed in range(8):
        made.zero_grad()
        torch.manual_seed(seed)
        made.loss(batch(), NONE, "allow").backward()
        trained = {name.startswith("twin.") for name, weight in made.named_parameters() if weight.grad is not None}
        assert len(trained) == 1
        drawn |= trained
    assert drawn == {False, True}


def test_a_blend_is_of_the_best_by_logits_standardised():
    generator = np.random.default_rng(4)
    scores, values = generator.normal(size=(2, 300)), 7 + 3 * generator.normal(size=(2, 300))
    found = blended(torch.tensor(scores), torch.tensor(values), 0.25).numpy()
    for row in range(2):
        best = np.argsort(-scores[row])[:200]
        one, other = ((of[row][best] - of[row][best].mean()) / of[row][best].std() for of in (scores, values))
        assert found[row][best] == pytest.approx(0.75 * one + 0.25 * other)
        assert np.isneginf(np.delete(found[row], best)).all()
    assert blended(torch.ones(1, 3), torch.tensor([[1.0, 2.0, 3.0]]), 0.5).argmax() == 2  # equal scores say nothing


def test_items_that_do_not_rank_are_no_candidates():
    scores, values = torch.tensor([[9.0, 1.0, 2.0, 3.0]]), torch.tensor([[9.0, 3.0, 2.0, torch.nan]])
    found = blended(scores, values, 0.25, torch.tensor([[True, False, False, False]]))
    assert found.tolist() == [[-torch.inf, -0.5, 0.5, -torch.inf]]


def test_the_history_is_no_candidate_where_it_is_left_out():
    made = network()
    made.by, history, cold = "blend", np.array([3, 1]), np.arange(9) == 5
    allowed, without = (Scorer(made, cold, seen)([history])[0] for seen in ("allow", "exclude"))
    assert np.isfinite(allowed).tolist() == [item != 5 for item in range(9)]
    assert np.isfinite(without).tolist() == [item not in (1, 3, 5) for item in range(9)]
    assert without[np.isfinite(without)].sum() == pytest.approx(0, abs=1e-5)


def test_answers_are_by_logits_by_values_or_by_both():
    made = network()
    states = made(batch().histories, batch().lengths)
    expected = {"logits": made.scores(states), "q": made.values(states)}
    expected["blend"] = blended(expected["logits"], expected["q"], made.options.blend)
    for made.by, scores in expected.items():
        assert torch.equal(made.answers(batch().histories, batch().lengths), scores)


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    """People walk round a circle of 9 items; with rewards, an event of item 4 is worth 1, any other nothing."""
    path = tmp_path_factory.mktemp("walks") / "events.csv"
    generator = np.random.default_rng(0)
    lines = ["user,item,time"]
    for user in range(80):
        start, time = generator.integers(9), generator.integers(1000)
        lines += [f"user-{user},item-{(start + step) % 9},{time + 10 * step}" for step in range(8)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_draws_know_rewards_and_ends():
    train = Events(np.array([0, 0, 0, 1, 2, 2]), np.array([4, 5, 6, 1, 7, 8]), None, np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
    data = Dataset(Catalog([str(item) for item in range(9)]), train, None)
    draws = Draws(data, Options.chosen("mcrl", batch=5, window=2))
    assert draws.rewards.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.5, 0.6])
    assert draws.done.tolist() == [False, False, True, False, True]
    (drawn,) = draws.epoch(np.random.default_rng(0))
    worth = dict(zip(draws.targets.tolist(), draws.rewards.tolist()))
    assert [worth[item] for item in drawn.targets.tolist()] == drawn.rewards.tolist()


@pytest.mark.parametrize("kind", list(BACKBONES))
def test_resuming_equals_not_stopping_and_the_twin_is_not_kept(walks, tmp_path, kind):
    data, options = read(walks), Options.chosen("mcrl", backbone=kind, **FEW | {"average": 0.9})
    whole = Training(data, tmp_path / "whole", options, "cpu")
    whole.run()
    Training(data, tmp_path / "parts", Options.chosen("mcrl", backbone=kind, **FEW | {"average": 0.9, "epochs": 1}), "cpu").run()
    resumed = Training(data, tmp_path / "parts", options, "cpu")
    resumed.resume()
    resumed.run()
    assert resumed.history == whole.history
    for one, two in zip(whole.network.parameters(), resumed.network.parameters()):
        assert torch.equal(one, two)
    kept, known = load_run(tmp_path / "whole", data)
    assert kept.twin is None and type(kept) is BACKBONES[kind] and known == options


def test_values_are_the_rewards_to_come():
    """People walk 0, 1, 2, … from anywhere and stop at 4, which is worth 1; by Q anybody could go there in the next step."""
    items = np.concatenate([np.arange(start, 5) for start in range(4)] * 8)
    train = Events(np.cumsum(np.diff(items, prepend=5) < 0), items, None, (items == 4).astype(float))
    made = network("gru4rec", separate=True, conservative=0.02, reward=0.0, transition=0.0)
    draws = Draws(Dataset(Catalog([str(item) for item in range(9)]), train, None), replace(made.options, batch=32))
    optimizer, generator = torch.optim.Adam(made.parameters(), lr=0.02), np.random.default_rng(0)
    for drawn in (drawn for _ in range(60) for drawn in draws.epoch(generator)):
        optimizer.zero_grad()
        made.loss(drawn, NONE, "allow").backward()
        optimizer.step()
    values = made.values(made(torch.tensor([[1, 2, 3, 9], [1, 2, 9, 9]]), torch.tensor([3, 2]))).detach()
    assert [values[0, 4].item(), values[1, 3].item()] == pytest.approx([1, 0.5], abs=0.1)
    assert values[:, 5:].max() < -1  # nobody went there: the conservative term


def test_from_the_command_line_and_each_way_of_ranking(walks, tmp_path, capsys):
    from oneiro_models.__main__ import main

    run = str(tmp_path / "run")
    few = ["--window", "4", "--width", "8", "--epochs", "2", "--batch", "64", "--seen", "allow", "--backbone", "gru4rec"]
    assert main(["train", str(walks), run, "--network", "mcrl", *few]) == 0
    for by in ("logits", "q", "blend"):
        assert main(["evaluate", str(walks), run, "--by", by, "--record", str(tmp_path / by)]) == 0
        (kept,) = (json.loads(path.read_text()) for path in (tmp_path / by).iterdir())
        assert ("by " in kept["subject"]) == (by != "logits")
    assert "recency + Markov" in capsys.readouterr().out
