"""Gaussian diffusion with a network that predicts x_0, as DreamRec uses it (Yang et al., NeurIPS 2023, arXiv 2310.20453).

Forwards, with ᾱ_t = Π (1 − β_s) over s ≤ t and steps counted from 0:

    x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε

Backwards, from x ~ N(0, I) through t = T−1 … 0, with x̂_0 = f(x, t) and z ~ N(0, I), none at t = 0:

    x ← c1_t·x̂_0 + c2_t·x + √v_t·z
    c1 = β·√ᾱ_prev / (1 − ᾱ);  c2 = (1 − ᾱ_prev)·√(1 − β) / (1 − ᾱ);  v = β·(1 − ᾱ_prev) / (1 − ᾱ)

All tables are computed in f64 (the authors' are f32: their c1_0 falls short of 1 by 1.7e-4, which scales all scores alike).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sqrt

import numpy as np

from . import Problem


def _linear(steps: int) -> np.ndarray:
    return np.linspace(1e-4, 0.02, steps)


def _exp(steps: int) -> np.ndarray:
    x = np.linspace(1, 2 * steps + 1, steps)
    return 1 - np.exp(-0.1 / steps - x * 0.5 * (10 - 0.1) / steps**2)


def _cosine(steps: int) -> np.ndarray:
    g = [cos((u / steps + 0.008) / 1.008 * pi / 2) ** 2 for u in range(steps + 1)]
    return np.array([1 - after / before for before, after in zip(g, g[1:])]).clip(1e-4, 0.9999)


def _sqrt(steps: int) -> np.ndarray:
    a = [1 - sqrt(u / steps + 1e-4) for u in range(steps + 1)]
    return np.array([min(1 - after / before, 0.999) for before, after in zip(a, a[1:])])


SCHEDULES = {"linear": _linear, "exp": _exp, "cosine": _cosine, "sqrt": _sqrt}
"""β of each step by the number of steps."""


@dataclass(frozen=True)
class Schedule:
    """The tables of T steps, f64 [T]."""

    signal: np.ndarray
    """ᾱ"""
    x0: np.ndarray
    """c1"""
    x: np.ndarray
    """c2"""
    deviation: np.ndarray
    """√v"""

    @classmethod
    def of(cls, name: str, steps: int) -> "Schedule":
        if steps < 1:
            raise Problem(f"a chain has at least one step, not {steps}")
        beta = SCHEDULES[name](steps)
        signal = np.cumprod(1 - beta)
        before, gone = np.append(1.0, signal[:-1]), 1 - signal
        x0, x = beta * np.sqrt(before) / gone, (1 - before) * np.sqrt(1 - beta) / gone
        return cls(signal, x0, x, np.sqrt(beta * (1 - before) / gone))

    def __len__(self) -> int:
        return len(self.signal)

    def chain(self, predict: Callable, x, noise: Callable | None, path: list | None = None):
        """x_0 from the initial noise `x` [B, d], by `predict`: x, t → x̂_0 and `noise`: t → z [B, d] (None: no noise).

        `path` is given x after every step.
        """
        for t in reversed(range(len(self))):
            x = float(self.x0[t]) * predict(x, t) + float(self.x[t]) * x
            if t and noise:
                x = x + float(self.deviation[t]) * noise(t)
            if path is not None:
                path.append(x)
        return x

    def skipping(self, predict: Callable, x, steps: int):
        """The chain in so many of its steps, without noise but the first (DDIM; Song et al., ICLR 2021): with s the next of

            t_i = i·(T − 1) / (steps − 1), rounded down, from the last to 0
            ε̂ = (x − √ᾱ_t·x̂_0) / √(1 − ᾱ_t);  x ← √ᾱ_s·x̂_0 + √(1 − ᾱ_s)·ε̂        the last x̂_0 is the answer
        """
        if not 1 <= steps <= len(self):
            raise Problem(f"a chain of {len(self)} steps cannot be gone through in {steps}")
        kept = [i * (len(self) - 1) // (steps - 1) for i in reversed(range(steps))] if steps > 1 else [len(self) - 1]
        for t, s in zip(kept, [*kept[1:], None]):
            x_0 = predict(x, t)
            if s is None:
                return x_0
            here, there = float(self.signal[t]), float(self.signal[s])
            x = sqrt(there) * x_0 + sqrt(1 - there) * (x - sqrt(here) * x_0) / sqrt(1 - here)


@dataclass(frozen=True)
class Collapse:
    """What a whole chain comes to where the prediction is affine, x̂_0 = W_x·x + W_c·c + s_t: x_0 = P·c + q + L·z.

    With A_t = c1_t·W_x + c2_t·I, from P = 0, q = 0, Σ = I through t = T−1 … 0:

        P ← A_t·P + c1_t·W_c;  q ← A_t·q + c1_t·s_t;  Σ ← A_t·Σ·A_tᵀ + v_t·I;  L = chol(Σ)
    """

    condition: np.ndarray
    """P, f64 [d, d]"""
    constant: np.ndarray
    """q, f64 [d]"""
    noise: np.ndarray
    """L, f64 [d, d], lower triangular"""

    @classmethod
    def of(cls, schedule: Schedule, w_x: np.ndarray, w_c: np.ndarray, steps: np.ndarray) -> "Collapse":
        """`w_x`, `w_c` [d, d], as in out = W·in; `steps` [T, d]."""
        w_x, w_c, steps = (np.asarray(values, np.float64) for values in (w_x, w_c, steps))
        identity = np.eye(len(w_x))
        p, q, sigma = np.zeros_like(w_c), np.zeros(len(w_x)), identity
        for t in reversed(range(len(schedule))):
            a = schedule.x0[t] * w_x + schedule.x[t] * identity
            p, q = a @ p + schedule.x0[t] * w_c, a @ q + schedule.x0[t] * steps[t]
            sigma = a @ sigma @ a.T + schedule.deviation[t] ** 2 * identity
        try:
            lower = np.linalg.cholesky((sigma + sigma.T) / 2)
        except np.linalg.LinAlgError:
            lower = np.array(np.nan)
        if not all(np.isfinite(part).all() for part in (p, q, lower)):
            raise Problem("the chain grows without bounds and does not collapse: the denoiser is not trained")
        return cls(p, q, lower)
