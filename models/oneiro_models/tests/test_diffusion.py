"""Noise, schedules, chains and their collapse, against known answers and simulation."""

import numpy as np
import pytest
import torch

from oneiro_models import Problem
from oneiro_models.diffusion import SCHEDULES, Collapse, Schedule
from oneiro_models.networks import DreamRec, Shape
from oneiro_models.networks.denoiser import Denoiser
from oneiro_models.noise import gaussian, philox
from oneiro_models.tiny import dreaming

PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)


@pytest.mark.parametrize(
    "counter, key, words",
    [
        ((0,) * 4, (0,) * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (*PI, "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_gives_random123s_known_answers(counter, key, words):
    assert " ".join(f"{int(word):08x}" for word in philox(counter, key)) == words


def test_noise_is_standard_normal_and_a_users_own():
    noise = gaussian(np.arange(4000), 500, 0, 62)
    assert noise.shape == (4000, 62) and noise.dtype == np.float32
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 1) < 0.01
    assert np.abs(np.corrcoef(noise.T) - np.eye(62)).max() < 0.1
    assert (gaussian([17], 500, 0, 62) == noise[17]).all()
    assert (gaussian([17], 499, 0, 62) != noise[17]).all() and (gaussian([17], 500, 1, 62) != noise[17]).all()
    assert (gaussian(np.uint64([2**63 + 1]), 0, 0, 8) != gaussian([1], 0, 0, 8)).all()


@pytest.mark.parametrize(
    "name, steps, beta, signal",
    [
        ("exp", 500, (2.1976e-4, 1.98208e-2), (0.99978024, 0.27250192, 6.3462e-3)),
        ("cosine", 2000, (1.0e-4, 0.9999), (0.99990, 0.49174884, 6.0577e-11)),
        ("linear", 500, (1.0e-4, 0.02), (0.99990, 0.27785882, 6.3527e-3)),
    ],
)
def test_schedules_equal_the_authors(name, steps, beta, signal):
    found, betas = Schedule.of(name, steps), SCHEDULES[name](steps)
    np.testing.assert_allclose(betas[[0, -1]], beta, atol=1e-6)
    np.testing.assert_allclose(found.signal[[0, steps // 2, -1]], signal, atol=1e-6)
    assert found.x0[0] == pytest.approx(1) and found.x[0] == 0 and found.deviation[0] == 0


def test_sqrt_keeps_its_signal_by_the_square_root():
    found = Schedule.of("sqrt", 500)
    steps = np.arange(1, 500)  # the last is clipped at 0.999
    np.testing.assert_allclose(found.signal[:-1], (1 - np.sqrt(steps / 500 + 1e-4)) / (1 - np.sqrt(1e-4)), rtol=1e-9)
    assert SCHEDULES["sqrt"](500)[-1] == 0.999


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_step_back_is_the_posterior_of_a_step_forward(name):
    """c1·x_0 + c2·x_t and v are the mean and the variance of x_{t−1} given x_t and x_0, by Bayes."""
    found, beta, t = Schedule.of(name, 50), SCHEDULES[name](50), 20
    x_0, x_t = 0.7, -1.3
    before = found.signal[t - 1]
    precision = 1 / (1 - before) + (1 - beta[t]) / beta[t]
    mean = (np.sqrt(before) * x_0 / (1 - before) + np.sqrt(1 - beta[t]) * x_t / beta[t]) / precision
    assert found.x0[t] * x_0 + found.x[t] * x_t == pytest.approx(mean)
    assert found.deviation[t] ** 2 == pytest.approx(1 / precision)


def test_a_chain_has_a_step():
    with pytest.raises(Problem, match="at least one step, not 0"):
        Schedule.of("linear", 0)
    with pytest.raises(Problem, match="a chain of 9 steps cannot be gone through in 10"):
        Schedule.of("linear", 9).skipping(lambda x, t: x, 0.0, 10)


def test_skipping_to_a_known_item_ends_there():
    schedule, seen = Schedule.of("cosine", 100), []
    item = torch.tensor([[3.0, -2.0]])
    found = schedule.skipping(lambda x, t: seen.append(t) or item, torch.randn(1, 2), 4)
    assert torch.equal(found, item) and seen == [99, 66, 33, 0]


def oracle(denoiser, schedule="linear", steps=60, width=8):
    torch.manual_seed(0)
    return dreaming(DreamRec(Shape(20, width, 5), Schedule.of(schedule, steps), denoiser), np.random.default_rng(3))


@pytest.mark.parametrize("schedule, steps", [("exp", 500), ("linear", 500), ("cosine", 2000)])
def test_collapsed_chains_are_distributed_as_simulated_ones(schedule, steps):
    network = oracle("mlp1", schedule, steps)
    w_x, w_c, offsets = (part.detach().numpy().astype(np.float64) for part in network.denoiser.split())
    condition, count = np.random.default_rng(0).normal(size=8), 20_000
    generator = np.random.default_rng(1)
    found = network.schedule.chain(
        lambda x, t: x @ w_x.T + w_c @ condition + offsets[t],
        generator.normal(size=(count, 8)),
        lambda t: generator.normal(size=(count, 8)),
    )
    whole = network.collapse()
    covariance = whole.noise @ whole.noise.T
    mean_error = np.sqrt(np.diag(covariance) / count)
    error = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / count)
    assert (np.abs(found.mean(0) - whole.condition @ condition - whole.constant) < 4.5 * mean_error).all()
    assert (np.abs(np.cov(found.T) - covariance) < 4.5 * error).all()
    assert np.diag(covariance).min() > 0.01  # there is something to see


def test_a_chain_that_runs_away_does_not_collapse():
    schedule = Schedule.of("linear", 500)
    with pytest.raises(Problem, match="without bounds"), np.errstate(all="ignore"):
        Collapse.of(schedule, 1e9 * np.eye(4), np.eye(4), np.zeros((500, 4)))


def test_guidance_folds_into_the_condition_of_an_affine_denoiser():
    network = oracle("mlp1")
    network.guidance = 3.0
    x, states = torch.randn(5, 8), torch.randn(5, 8)
    step = torch.full((5,), 7)
    with torch.no_grad():
        once = network.denoiser(x, network.guided(states), step)
        torch.testing.assert_close(network.predict(x, states, 7), once, rtol=1e-5, atol=1e-5)


def test_oracles_are_the_collapsed_chain_or_the_chain_itself():
    seeds = np.array([4, 5, 6])
    states = torch.randn(3, 8)
    for kind in ("mlp1", "mlp2"):
        network = oracle(kind)
        network.draws = 2
        with torch.no_grad():
            draws = network.oracles(states, seeds)
            alone = network.oracles(states[1:2], seeds[1:2])
        assert not torch.allclose(draws[0], draws[1], atol=1e-3)
        torch.testing.assert_close(draws[1][1:2], alone[1], rtol=1e-4, atol=1e-5)


def test_the_step_is_told_by_sines_before_cosines():
    denoiser = Denoiser("mlp1", 64, 500)
    frequencies = np.exp(-np.arange(32) * np.log(10000) / 31)
    expected = np.concatenate([np.sin(499 * frequencies), np.cos(499 * frequencies)])
    np.testing.assert_allclose(denoiser.tau.sinusoid[499].numpy(), expected, atol=1e-4)
