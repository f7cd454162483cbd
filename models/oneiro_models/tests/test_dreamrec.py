"""DreamRec's loss, where its value is known."""

import math

import numpy as np
import pytest
import torch

from oneiro_models.batches import Batch
from oneiro_models.diffusion import Schedule
from oneiro_models.networks import DreamRec, SASRec, Shape
from oneiro_models.tiny import dreaming

COLD = torch.zeros(20, dtype=torch.bool)


@pytest.fixture
def network():
    return dreaming(DreamRec(Shape(20, 8, 5, blocks=2), Schedule.of("linear", 10)), np.random.default_rng(0))


@pytest.fixture
def batch():
    histories, lengths = torch.randint(20, (6, 5), generator=torch.Generator().manual_seed(0)), torch.tensor([5, 0, 1, 3, 5, 2])
    histories[torch.arange(5) >= lengths[:, None]] = 20
    return Batch(histories, lengths, torch.tensor([3, 1, 4, 1, 5, 9]), torch.tensor([1.0, 2.0, 1.0, 0.5, 1.0, 1.0]))


def blind(network):
    """Its denoiser predicts zeros."""
    for weight in network.denoiser.layers.parameters():
        weight.data.zero_()
    return network


def test_the_state_is_that_of_sasrec(network, batch):
    with torch.no_grad():
        expected = SASRec.forward(network, batch.histories, batch.lengths)
        torch.testing.assert_close(network(batch.histories, batch.lengths), expected)


def test_the_loss_is_the_squared_error_and_moves_the_rows(network, batch):
    loss = blind(network).loss(batch, COLD, "allow")
    squares = network.table[batch.targets].square().mean(1)
    assert loss.item() == pytest.approx(((batch.weights * squares).sum() / batch.weights.sum()).item(), rel=1e-5)
    loss.backward()
    assert network.items.weight.grad[[1, 3, 4, 5, 9]].abs().min() > 0


def test_hidden_histories_teach_only_the_unconditional(network, batch):
    network.dropped = 1.0
    network.loss(batch, COLD, "allow").backward()
    assert network.unconditional.grad.abs().min() > 0
    assert all(weight.grad is None or not weight.grad.any() for weight in network.blocks.parameters())
    network.zero_grad()
    network.dropped = 0.0
    network.loss(batch, COLD, "allow").backward()
    assert not network.unconditional.grad.any() and network.blocks[0].value.weight.grad.any()


@pytest.mark.parametrize(("seen", "rivals"), [("allow", [19] * 6), ("exclude", None)])
def test_the_softmax_is_over_what_may_rank(network, batch, seen, rivals):
    """Of equal scores each target's share is one in so many."""
    network.contrast, cold = 0.5, COLD.clone()
    cold[7] = True
    size = network.table.square().mean().sqrt().item()
    squares = network.table[batch.targets].square().mean(1) / size**2
    error = ((batch.weights * squares).sum() / batch.weights.sum()).item()
    if rivals is None:
        kept = [set(row.tolist()) - {20, 7, target} for row, target in zip(batch.histories, batch.targets.tolist())]
        rivals = [19 - len(row) for row in kept]
    entropy = sum(weight * math.log(count) for weight, count in zip(batch.weights.tolist(), rivals))
    entropy /= batch.weights.sum().item()
    assert blind(network).loss(batch, cold, seen).item() == pytest.approx(error + 0.5 * entropy, rel=1e-5)


def test_the_softmax_is_not_told_the_item(network, batch):
    """A denoiser that gives back what it was shown, of items that hardly any noise was added to, finds no item by chance."""
    blind(network).denoiser.layers[0].weight.data[:, : network.shape.width] = 10 * torch.eye(network.shape.width)
    losses = []
    for network.contrast in (1e-9, 1.0):
        torch.manual_seed(2)
        losses.append(network.loss(batch, COLD, "allow").item())
    assert losses[1] - losses[0] > math.log(19)


def test_states_may_be_given(network, batch):
    with torch.no_grad():
        states = network(batch.histories, batch.lengths)
        losses = []
        for given in (None, states):
            torch.manual_seed(3)
            losses.append(network.loss(Batch(batch.histories, batch.lengths, batch.targets, batch.weights, given), COLD, "allow").item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
