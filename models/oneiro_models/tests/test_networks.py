"""GRU4Rec, Caser and NextItNet against their formulas; SASRec has a file of its own."""

import numpy as np
import pytest

from oneiro_models.export import torch_states


def weights_of(network):
    return {name: tensor.numpy().astype(np.float64) for name, tensor in network.state_dict().items()}


def logistic(x):
    return 1 / (1 + np.exp(-x))


def naive_gru(network, history):
    weights, width = weights_of(network), network.shape.width
    inputs = weights["items.weight"][history if len(history) else [network.shape.items]]
    for layer in range(network.shape.blocks):
        h, states = np.zeros(width), []
        for x in inputs:
            read = weights[f"gru.weight_ih_l{layer}"] @ x + weights[f"gru.bias_ih_l{layer}"]
            kept = weights[f"gru.weight_hh_l{layer}"] @ h + weights[f"gru.bias_hh_l{layer}"]
            r, z = logistic(read[:width] + kept[:width]), logistic(read[width : 2 * width] + kept[width : 2 * width])
            n = np.tanh(read[2 * width :] + r * kept[2 * width :])
            h = (1 - z) * n + z * h
            states.append(h)
        inputs = np.array(states)
    return inputs[-1]


def naive_caser(network, history):
    weights, shape = weights_of(network), network.shape
    x = np.zeros((shape.window, shape.width))
    x[: len(history)] = weights["items.weight"][history]
    parts = []
    for index, height in enumerate((2, 3, 4)):
        filters, bias = weights[f"horizontal.{index}.weight"], weights[f"horizontal.{index}.bias"]
        places = range(shape.window - height + 1)
        parts.append(np.max([[(f.T * x[t : t + height]).sum() for f in filters] + bias for t in places], axis=0))
    parts.append(weights["vertical.weight"][0] @ x + weights["vertical.bias"])
    return np.maximum(np.concatenate(parts), 0)


def naive_nextitnet(network, history):
    weights, width = weights_of(network), network.shape.width
    if not len(history):
        return np.zeros(width)
    x = weights["items.weight"][history]
    for index in range(network.shape.blocks):
        y = x
        for half in (1, 2):
            name, dilation = f"blocks.{index}", (1, 2)[index % 2] * half
            filters = weights[f"{name}.conv_{half}.weight"]
            out = np.tile(weights[f"{name}.conv_{half}.bias"], (len(y), 1))
            for place in range(len(y)):
                for tap in range(3):
                    if place - (2 - tap) * dilation >= 0:
                        out[place] += filters[:, :, tap] @ y[place - (2 - tap) * dilation]
            out = (out - out.mean(1, keepdims=True)) / np.sqrt(out.var(1, keepdims=True) + 1e-8)
            y = np.maximum(out * weights[f"{name}.norm_{half}.weight"] + weights[f"{name}.norm_{half}.bias"], 0)
        x = x + y
    return x[-1]


NAIVE = {"gru4rec": naive_gru, "caser": naive_caser, "nextitnet": naive_nextitnet}


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("length", [0, 1, 2, 7, 8, 12])
@pytest.mark.parametrize("kind", list(NAIVE))
def test_states_follow_the_formulas(network, kind, blocks, length):
    network = network(kind=kind, blocks=blocks)
    history = np.random.default_rng(length).permutation(30)[:length]
    expected = NAIVE[kind](network, history[-network.shape.window :])
    found = torch_states(network, [history])[0]
    assert np.abs(found - expected).max() <= 1e-5 * max(np.abs(expected).max(), 1e-30)


def test_caser_is_wider_than_its_rows_and_scores_by_others(network):
    network = network(kind="caser", width=64)
    assert tuple(network.scored.shape) == (30, 112) and tuple(network.table.shape) == (30, 64)
    assert network.bias is not None


def test_caser_slides_over_long_histories(network):
    """The state after each place is that of the window that ends there."""
    import torch

    network = network(kind="caser")
    history = np.random.default_rng(1).permutation(30)[:20]
    with torch.inference_mode():
        states = network.states(torch.tensor(history)[None], torch.tensor([20]))[0].numpy()
    for place in range(20):
        assert states[place] == pytest.approx(torch_states(network, [history[: place + 1]])[0], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("kind", ["sasrec", "gru4rec", "caser", "nextitnet"])
def test_what_comes_later_and_padding_change_nothing(network, kind):
    import torch

    network = network(kind=kind)
    with torch.inference_mode():
        states = network.states(torch.tensor([[3, 1, 4, 15, 9], [3, 1, 4, 30, 30]]), torch.tensor([5, 3])).numpy()
    assert np.abs(states[0, :3] - states[1, :3]).max() <= 1e-6 * np.abs(states).max()
