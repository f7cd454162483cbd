"""The network against its formulas."""

import numpy as np
import pytest
import torch

from oneiro_models.export import torch_states


def norm(x, weights, name):
    spread = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return (x - x.mean(-1, keepdims=True)) / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def dense(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def naive_state(network, history):
    """The formulas of networks/sasrec.py for one history, on its real rows only, position by position."""
    weights = {name: tensor.numpy().astype(np.float64) for name, tensor in network.state_dict().items()}
    width = network.shape.width
    history = history[-network.shape.window :]
    s = weights["items.weight"][history] + weights["positions.weight"][: len(history)]
    for block in range(network.shape.blocks):
        name = f"blocks.{block}"
        n = norm(s, weights, f"{name}.norm_1")
        q, k, v = dense(n, weights, f"{name}.query"), dense(s, weights, f"{name}.key"), dense(s, weights, f"{name}.value")
        y = np.empty_like(s)
        for place in range(len(s)):
            attention = np.exp(k[: place + 1] @ q[place] / np.sqrt(width))
            y[place] = attention / attention.sum() @ v[: place + 1] + n[place]
        z = norm(y, weights, f"{name}.norm_2")
        inner = np.maximum(dense(z, weights, f"{name}.inner"), 0)
        s = norm(dense(inner, weights, f"{name}.outer") + z, weights, f"{name}.norm_ff")
    return norm(s, weights, "norm_3")[-1]


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("length", [1, 2, 7, 8, 12])
def test_states_follow_the_formulas(network, blocks, length):
    network = network(blocks=blocks)
    history = np.random.default_rng(length).permutation(30)[:length]
    found = torch_states(network, [history])[0]
    expected = naive_state(network, history)
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


def test_an_empty_history_is_the_bias_of_the_last_norm(network):
    network = network()
    found = torch_states(network, [np.array([], int)])[0]
    assert (found == network.norm_3.bias.detach().numpy()).all()


def test_padding_does_not_matter(network):
    network = network()
    short, padded = torch.tensor([[3, 1, 4]]), torch.tensor([[3, 1, 4, 30, 30, 30]])
    other = torch.tensor([[3, 1, 4, 9, 2, 6]])
    length = torch.tensor([3])
    expected = network(short, length)
    assert torch.allclose(network(padded, length), expected, atol=1e-6)
    assert torch.allclose(network(other, length), expected, atol=1e-6)


def test_the_order_of_a_history_matters(network):
    states = torch_states(network(), [np.array([1, 2, 3]), np.array([2, 1, 3])])
    assert np.abs(states[0] - states[1]).max() > 1e-3
