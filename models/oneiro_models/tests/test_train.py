"""Training on a small made-up world where what comes next is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from oneiro_models import Problem
from oneiro_models.__main__ import main
from oneiro_models.batches import Draws, Windows
from oneiro_models.bundle import Bundle, Catalog
from oneiro_models.data import read
from oneiro_models.export import export
from oneiro_models.inference import BundleScorer
from oneiro_models.metrics import evaluate, figures
from oneiro_models.options import Options
from oneiro_models.train import Scorer, Training, load_run, never_ranked

FEW = dict(window=6, width=16, dropout=0.1, learning_rate=0.01, epochs=4, patience=4, batch=16)


@pytest.fixture(scope="module")
def circle(tmp_path_factory):
    """People walk once round a circle of 12 items from where they happen to start: the next item follows from the last."""
    path = tmp_path_factory.mktemp("circle") / "events.csv"
    generator = np.random.default_rng(0)
    lines = ["user,item,time"]
    for user in range(200):
        start, time = generator.integers(12), generator.integers(1000)
        lines += [f"user-{user},item-{(start + step) % 12:02d},{time + 10 * step}" for step in range(10)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_it_learns_what_comes_next(circle, tmp_path):
    data = read(circle)
    training = Training(data, tmp_path, Options(**FEW | {"epochs": 12, "patience": 12}), "cpu")
    before = figures(evaluate(Scorer(training.network, data.cold()), data.validation_rows()), (1,))
    training.run()
    network, _ = load_run(tmp_path, data)
    after = figures(evaluate(Scorer(network, data.cold()), data.validation_rows()), (1,))
    assert before["HR@1"].mean < 0.5 and after["HR@1"].mean > 0.95


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_resuming_equals_not_stopping(circle, tmp_path, average):
    data, few = read(circle), FEW | {"average": average}
    whole = Training(data, tmp_path / "whole", Options(**few), "cpu")
    whole.run()
    Training(data, tmp_path / "parts", Options(**few | {"epochs": 2}), "cpu").run()
    resumed = Training(data, tmp_path / "parts", Options(**few), "cpu")
    resumed.resume()
    resumed.run()
    assert resumed.history == whole.history
    for one, other in zip(whole.network.parameters(), resumed.network.parameters()):
        assert torch.equal(one, other)


def test_the_average_of_the_weights_is_kept(circle, tmp_path):
    data = read(circle)
    training = Training(data, tmp_path, Options(**FEW | {"average": 0.5}), "cpu")
    row, start = training.network.items.weight, training.averaged.items.weight[0].clone()
    with torch.no_grad():
        row[0] += 1  # one step: the average moves by 10/11
        training.average()
        row[0] += 1
        training.average()  # another: by 10/12
    assert training.averaged.items.weight[0].tolist() == pytest.approx((start + 2 - (1 + 1 / 11) / 6).tolist(), rel=1e-5)
    training.history = [{"loss": 1.0, "HR@10": 0.5, "NDCG@10": 0.2}]
    training.save("best.pt")
    (tmp_path / "options.json").write_text(json.dumps({**FEW, "average": 0.5, "data": {"held_out": 0.1, "sha256": data.digest()}}))
    network, _ = load_run(tmp_path, data)
    assert torch.equal(network.items.weight, training.averaged.items.weight)


def test_the_loss_is_the_full_softmax_over_what_may_rank(circle, tmp_path):
    data = read(circle)
    options = Options(**FEW)
    network = Training(data, tmp_path, options, "cpu").network.eval()
    batch = Windows(data, options).collate([(np.array([3, 5, 8]), np.array([1.0, 1.0, 3.0]))])
    cold = torch.zeros(12, dtype=torch.bool)
    cold[11] = True
    scores = network.scores(network.states(batch.histories, batch.lengths))[0].detach().numpy().astype(float)
    terms = []
    for place, (target, gone) in enumerate([(5, {3, 11}), (8, {3, 5, 11})]):
        rivals = [scores[place, item] for item in range(12) if item not in gone]
        terms.append(np.log(np.exp(rivals).sum()) - scores[place, target])
    assert network.loss(batch, cold, options.seen).item() == pytest.approx((terms[0] + 3 * terms[1]) / 4, rel=1e-5)


def test_every_target_comes_once_an_epoch(circle):
    data = read(circle)
    sequences = Windows(data, Options(**FEW))
    for epoch in range(3):
        batches = list(sequences.epoch(np.random.default_rng(epoch)))
        targets = torch.cat([batch.targets[batch.targets < data.items] for batch in batches])
        expected = np.concatenate([data.train.items[sequence[1:]] for sequence in data.train.sequences()])
        assert sorted(targets.tolist()) == sorted(expected.tolist())
        assert all(batch.histories.shape[1] <= 6 for batch in batches)


def test_draws_are_events_after_what_came_before_them(circle):
    data = read(circle)
    draws = Draws(data, Options(**FEW))
    batches = list(draws.epoch(np.random.default_rng(0)))
    assert len(batches) == len(data.train) // 16 and all(len(batch.targets) == 16 for batch in batches)
    rows = [row for batch in batches for row in zip(batch.histories.tolist(), batch.lengths.tolist(), batch.targets.tolist())]
    for history, length, target in rows:
        assert set(history[length:]) <= {data.items} and length <= 6
        if length:
            assert target == (history[length - 1] + 1) % 12
    assert {length for _, length, _ in rows} == set(range(7))
    with pytest.raises(Problem, match="do not fill one batch of 100000"):
        Draws(data, Options(**FEW | {"batch": 100_000}))


def test_epochs_may_be_passed_over_in_validation(circle, tmp_path):
    training = Training(read(circle), tmp_path, Options(**FEW | {"epochs": 5, "validate_every": 2}), "cpu")
    training.run()
    assert ["HR@10" in epoch for epoch in training.history] == [False, True, False, True, True]
    assert "HR@10" in training.history[training.best()]


def test_weights_halve_with_age(circle):
    data = read(circle)
    half_life = 100 / 86400
    sequences = Windows(data, Options(**FEW | {"half_life": half_life})).sequences
    times = [data.train.times[sequence] for sequence in data.train.sequences() if len(sequence) > 1]
    (_, weights), when = sequences[0], times[0]
    assert weights[1] / weights[2] == pytest.approx(0.5 ** ((when[2] - when[1]) / 100))
    assert np.concatenate([weights[1:] for _, weights in sequences]).mean() == pytest.approx(1)


def test_cold_items_never_rank_and_are_passed_over(network):
    network, cold = network(), np.zeros(30, bool)
    cold[[4, 7]] = True
    score = Scorer(network, cold)
    with_cold, without = score([np.array([1, 4, 2, 7]), np.array([1, 2])])
    assert (with_cold == without).all() and np.isneginf(with_cold[[4, 7]]).all() and np.isfinite(with_cold[~cold]).all()


def test_from_csv_to_bundle_on_the_command_line(circle, tmp_path, capsys):
    run, out = str(tmp_path / "run"), str(tmp_path / "bundle")
    few = ["--window", "6", "--width", "16", "--epochs", "2", "--learning-rate", "0.01"]
    assert main(["train", str(circle), run, *few]) == 0
    assert main(["export", str(circle), run, out, "--name", "circle"]) == 0
    assert main(["evaluate", str(circle), out]) == 0
    shown = capsys.readouterr().out
    assert all(f"| {method} |" in shown for method in ("popularity", "Markov", "ItemKNN", "sasrec of bundle circle"))
    manifest = Bundle(out).manifest
    assert manifest["name"] == "circle" and manifest["encoders"]["sasrec"]["window"] == 6
    assert "--window 6 --width 16" in manifest["provenance"]["command"]
    assert str(tmp_path) not in json.dumps(manifest)
    assert (tmp_path / "run" / "curve.png").stat().st_size > 5000


@pytest.mark.parametrize("kind", ["gru4rec", "caser", "nextitnet"])
def test_other_networks_learn_resume_and_are_exported(circle, tmp_path, kind):
    data, few = read(circle), FEW | {"dropout": 0.0, "seen": "allow"}
    whole = Training(data, tmp_path / "whole", Options.chosen(kind, **few | {"epochs": 6}), "cpu")
    whole.run()
    assert whole.history[-1]["HR@10"] > whole.history[0]["HR@10"] or whole.history[-1]["loss"] < whole.history[0]["loss"] / 2
    Training(data, tmp_path / "parts", Options.chosen(kind, **few | {"epochs": 2}), "cpu").run()
    resumed = Training(data, tmp_path / "parts", Options.chosen(kind, **few | {"epochs": 6}), "cpu")
    resumed.resume()
    resumed.run()
    assert resumed.history == whole.history
    assert main(["export", str(circle), str(tmp_path / "whole"), str(tmp_path / "bundle")]) == 0
    assert list(Bundle(tmp_path / "bundle").manifest["encoders"]) == [kind]


@pytest.fixture
def colours(circle):
    """The circle with three more items that nobody chose: two have the colours of item-05 and item-09, one a colour of its own."""
    data = read(circle)
    colours, tags = [*range(12), 5, 9, 99], [["a"]] + [[]] * 14
    catalog = Catalog([*data.catalog.ids, "like-05", "like-09", "odd"], attributes={"colour": colours, "tags": tags})
    return replace(data, catalog=catalog)


def test_attributes_are_numbered_across_their_names(colours):
    values = colours.catalog.attribute_values()
    assert values.shape == (15, 2) and values[0].tolist() == [0, 13] and values[12].tolist() == [5, -1]
    assert not Catalog(["a"]).attribute_values().size


def test_items_are_cold_by_their_events_and_by_their_attributes(colours):
    assert np.flatnonzero(colours.cold()).tolist() == [12, 13, 14]
    assert np.flatnonzero(colours.cold(attributes=True)).tolist() == [14]


def test_an_items_row_is_its_own_and_those_of_its_attributes(colours, tmp_path):
    network = Training(colours, tmp_path, Options(**FEW | {"attributes": "added"}), "cpu").network
    own, attributes = network.items.own.weight, network.items.attributes.weight
    assert torch.equal(network.table[12], own[12] + attributes[5])
    assert torch.allclose(network.table[0], own[0] + attributes[0] + attributes[13])
    assert not network.items.weight[15].any() and torch.equal(network.items(torch.tensor([12, 15])), network.items.weight[[12, 15]])


def test_attributes_bring_items_that_nobody_chose(colours, tmp_path):
    options = Options(**FEW | {"seen": "allow", "attributes": "added"})
    Training(colours, tmp_path, options, "cpu").run()
    network, _ = load_run(tmp_path, colours)
    score = Scorer(network, never_ranked(colours, options))
    after_4, after_8, after_new = score([np.array([4]), np.array([8]), np.array([12])])
    assert after_4[12] > after_4[13] and after_8[13] > after_8[12] and np.isneginf(after_4[14])
    assert after_new.argmax() == 6  # what follows item-05 follows an item like it
    export(colours, [tmp_path], tmp_path / "bundle", "colours", "made up")
    bundled = BundleScorer(Bundle(tmp_path / "bundle"))
    found, expected = bundled([np.array([12])])[0], score([np.array([12])])[0]
    np.testing.assert_allclose(found[:14], expected[:14], rtol=1e-4, atol=1e-4)
    assert np.isneginf(found[14])


def test_resuming_with_attributes_equals_not_stopping(colours, tmp_path):
    few = FEW | {"average": 0.9, "attributes": "added"}
    whole = Training(colours, tmp_path / "whole", Options(**few), "cpu")
    whole.run()
    Training(colours, tmp_path / "parts", Options(**few | {"epochs": 2}), "cpu").run()
    resumed = Training(colours, tmp_path / "parts", Options(**few), "cpu")
    resumed.resume()
    resumed.run()
    assert resumed.history == whole.history


def test_attributes_that_cannot_be_added_are_explained(circle, colours, tmp_path):
    with pytest.raises(Problem, match="no attribute of the items of events.csv is known"):
        Training(read(circle), tmp_path, Options(attributes="added"), "cpu")
    with pytest.raises(Problem, match="train with --head shared"):
        Training(colours, tmp_path, Options.chosen("caser", attributes="added"), "cpu")


def test_a_network_begins_with_the_weights_of_another_run_or_bundle(circle, tmp_path, capsys):
    data, run, bundle = read(circle), tmp_path / "run", tmp_path / "bundle"
    Training(data, run, Options(**FEW | {"epochs": 1}), "cpu").run()
    assert main(["export", str(circle), str(run), str(bundle)]) == 0
    first, _ = load_run(run, data)
    few = FEW | {"fixed": "rows", "contrast": 1.0, "epochs": 1, "diffusion_steps": 10}
    for start in (run, bundle):
        options = Options.chosen("dreamrec", **few | {"blocks": 2, "start": str(start)})
        training = Training(data, tmp_path / f"from-{start.name}", options, "cpu")
        assert torch.allclose(training.network.blocks[1].inner.weight, first.blocks[1].inner.weight)
        training.run()
        network, _ = load_run(training.folder, data)
        assert torch.equal(network.items.weight, first.items.weight)
        assert not torch.equal(network.blocks[1].inner.weight, first.blocks[1].inner.weight)
        assert options.command().endswith(f" --diffusion-steps 10 --contrast 1.0 --start {start.name} --fixed rows")
    whole = Options.chosen("dreamrec", **few | {"blocks": 2, "start": str(run), "fixed": "start"})
    training = Training(data, tmp_path / "whole", whole, "cpu")
    states, rows = training.batches.states, len(Draws(data, whole).targets)
    assert states.shape == (rows, 16) and len(training.batches.targets) == rows
    history = training.batches.histories[rows - 1 :].long()
    with torch.no_grad():
        torch.testing.assert_close(training.network(history, (history < 12).sum(1)), states[rows - 1 :])
    training.run()
    network, _ = load_run(training.folder, data)
    assert torch.equal(network.blocks[1].inner.weight, first.blocks[1].inner.weight)
    assert training.history[-1]["HR@10"] > 0.9 and training.history[-1]["NDCG@10"] > 0.6
    for wrong in (Options.chosen("dreamrec", **few | {"start": str(run), "fixed": "start", "window": 5}), Options(**FEW, fixed="start")):
        with pytest.raises(Problem, match="brings no whole encoder"):
            Training(data, tmp_path / "wrong", wrong, "cpu")
    with pytest.raises(Problem, match="has item rows 16 wide, the network's are 8"):
        Training(data, tmp_path / "other", Options(**FEW | {"start": str(run), "width": 8}), "cpu")


def test_options_name_what_differs_from_the_networks_defaults():
    assert Options.chosen("caser", window=12).command() == " --network caser --window 12"
    assert Options.chosen().command() == ""


def test_people_may_come_back_to_an_item(circle, tmp_path):
    few = ["--window", "6", "--width", "16", "--epochs", "1", "--seen", "allow"]
    assert main(["train", str(circle), str(tmp_path / "run"), *few]) == 0
    assert main(["export", str(circle), str(tmp_path / "run"), str(tmp_path / "bundle")]) == 0
    assert Bundle(tmp_path / "bundle").manifest["seen"] == "allow"


def test_a_run_is_not_overwritten(circle, tmp_path):
    data, options = read(circle), Options(**FEW | {"epochs": 1})
    Training(data, tmp_path, options, "cpu").run()
    with pytest.raises(Problem, match="already holds a run"):
        Training(data, tmp_path, options, "cpu").run()


def test_a_run_of_other_data_is_refused(circle, tmp_path):
    data = read(circle)
    Training(data, tmp_path, Options(**FEW | {"epochs": 1}), "cpu").run()
    more = replace(data, catalog=Catalog([*data.catalog.ids, "item-12"]))
    with pytest.raises(Problem, match="was trained on 12 items, the data have 13"):
        load_run(tmp_path, more)
    others = replace(data, catalog=Catalog([f"other-{item}" for item in data.catalog.ids]))
    with pytest.raises(Problem, match="was trained on other events"):
        load_run(tmp_path, others)


def test_another_split_is_refused_and_the_split_recorded(circle, tmp_path, capsys):
    run, out, split = str(tmp_path / "run"), str(tmp_path / "bundle"), ["--held-out", "0.2"]
    few = ["--window", "6", "--width", "16", "--epochs", "1"]
    assert main(["train", str(circle), run, *few, *split]) == 0
    kept = next((tmp_path / "run").glob("*.result.json")).read_text()
    assert "train DATA/events.csv RUN --held-out 0.2 --window 6" in kept
    for command in (["evaluate", str(circle), run], ["export", str(circle), run, out], ["train", str(circle), run, "--resume"]):
        assert main(command) == 1
        assert "another split (--held-out 0.2)" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()
    assert main(["evaluate", str(circle), run, *split]) == 0
    assert main(["export", str(circle), run, out, *split]) == 0
    train, export = Bundle(out).manifest["provenance"]["command"].split(" && ")
    assert "--held-out 0.2" in train and "--held-out 0.2" in export


def test_a_run_that_does_not_name_its_events_is_refused(circle, tmp_path):
    data, options = read(circle), tmp_path / "options.json"
    Training(data, tmp_path, Options(**FEW | {"epochs": 1}), "cpu").run()
    about = json.loads(options.read_text())
    del about["data"]
    options.write_text(json.dumps(about))
    with pytest.raises(Problem, match="train anew"):
        load_run(tmp_path, data)


def test_a_missing_run_is_explained(circle, tmp_path):
    with pytest.raises(Problem, match="holds no run"):
        load_run(tmp_path, read(circle))
