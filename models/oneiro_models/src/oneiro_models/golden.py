"""Golden vectors: what PyTorch answers to seeded synthetic histories, for the library's parity tests.

The network is the PyTorch module with the weights read back from the bundle, so anybody can make them anew.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from . import Problem
from .bundle import Bundle, title_key
from .encoder import bundled_network
from .export import torch_states
from .networks import SASRec

HISTORIES, LONGEST, TOP = 100, 60, 20
GAP = 1e-4
"""Histories whose best items lie closer together than this are drawn anew, so that the order can be asked for exactly."""

TITLES = Path(__file__).with_name("golden_titles.txt")


def golden(folder: Path, out: Path, seed: int = 2013) -> None:
    """Writes `histories`, `lengths`, `states`, `top_items` and `top_scores` of the bundle's encoder `sasrec`."""
    bundle = Bundle(folder)
    space = bundle.space(bundle.manifest["encoders"]["sasrec"]["output"])
    cold = space["cold"] == 1
    network = bundled_network(bundle)
    longest = min(LONGEST, len(cold) - TOP - int(cold.sum()))
    generator = np.random.default_rng(seed)
    lengths = np.concatenate([[0, 1, longest], generator.integers(1, longest + 1, HISTORIES - 3)])
    rows = [clear_answer(network, space["rows"], cold, int(length), generator) for length in lengths]
    histories, states, items, scores = (list(column) for column in zip(*rows))
    padded = np.full((HISTORIES, LONGEST), len(cold), np.int64)
    for row, history in zip(padded, histories):
        row[: len(history)] = history
    tensors = {
        "histories": padded,
        "lengths": lengths.astype(np.int64),
        "states": np.stack(states).astype(np.float32),
        "top_items": np.stack(items).astype(np.uint32),
        "top_scores": np.stack(scores).astype(np.float32),
    }
    bundle_shown, out_shown = (path.name if path.is_absolute() else path.as_posix() for path in (folder, out))
    command = f"python -m oneiro_models golden {bundle_shown} {out_shown} --seed {seed}"
    out.write_bytes(save(tensors, {"command": command}))


def clear_answer(network: SASRec, rows: np.ndarray, cold: np.ndarray, length: int, generator: np.random.Generator):
    """A history without repeats and its state, best items and their scores; cold items come in some."""
    for _ in range(1000):
        history = generator.permutation(len(cold))[:length]
        warm = history[~cold[history]]
        if length and not len(warm):
            continue
        state = torch_states(network, [warm])[0]
        scores = rows.astype(np.float64) @ state
        scores[cold] = scores[history] = -np.inf
        best = np.argsort(-scores, kind="stable")[: TOP + 1]
        if (np.diff(scores[best]) <= -GAP).all():
            return history, state, best[:TOP], scores[best[:TOP]]
    raise Problem(f"no history of {length} items has a clear top {TOP}: are the rows trained?")


def golden_titles(out: Path) -> None:
    """Writes the key of every line of golden_titles.txt as a list of `{title, key}`."""
    titles = TITLES.read_text(encoding="utf-8").split("\n")[:-1]
    pairs = [{"title": title, "key": title_key(title)} for title in titles]
    lines = ",\n".join("  " + json.dumps(pair, ensure_ascii=False) for pair in pairs)
    out.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
