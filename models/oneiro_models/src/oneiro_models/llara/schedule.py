"""Learning rates and the curriculum, by the global step."""

from math import cos, pi

import numpy as np

FLOOR = 0.01
"""The share of the highest learning rate that training begins and ends with."""
WARM_UP = 20
"""One step of so many warms up."""
SAWS = 5
"""How often the published curriculum starts anew: once an epoch, of which LLaRA has five."""


def learning_rate(step: int, steps: int, highest: float) -> float:
    """Linear from the floor over the first twentieth, then half a cosine of all steps down to the floor (LLaRA's)."""
    warm = steps // WARM_UP
    if step < warm:
        return highest * (FLOOR + (1 - FLOOR) * step / warm)
    return highest * (FLOOR + (1 - FLOOR) * (1 + cos(pi * step / steps)) / 2)


def hybrid_odds(curriculum: str, step: int, steps: int) -> float:
    """How likely a batch is to have rows of the recommender in its prompts.

    `ramp`: step / steps, as LLaRA's paper has it. `saw-tooth`: what its code does, where the counter starts anew with each of
    five epochs and so never goes beyond a fifth. `hybrid`: always. `text`: never.
    """
    if curriculum == "ramp":
        return step / steps
    if curriculum == "saw-tooth":
        return step % max(steps // SAWS, 1) / steps
    return {"hybrid": 1.0, "text": 0.0}[curriculum]


def generator_of(seed: int, step: int) -> np.random.Generator:
    """Every step has its own, so that a run that is resumed goes on as if never stopped."""
    return np.random.default_rng([seed, step])
