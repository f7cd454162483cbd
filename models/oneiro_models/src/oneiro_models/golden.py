"""Golden vectors: what PyTorch answers to seeded synthetic histories, for the library's parity tests.

The networks are the PyTorch modules with the weights read back from the bundle, so anybody can make them anew.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from . import Problem
from .bundle import Bundle, title_key
from .bundle.table import values
from .encoder import bundled_network
from .export import torch_states
from .networks import Network

HISTORIES, LONGEST, TOP = 100, 60, 20
GAP = 2e-5
"""Of the greatest score. Histories whose best items, or whose target and another item, lie closer together than this
are drawn anew, so that the order can be asked for exactly."""

TITLES = Path(__file__).with_name("golden_titles.txt")


def golden(folder: Path, out: Path, seed: int = 2013) -> None:
    """Writes `histories` (one after the other), their `lengths`, an item each to be ranked (`targets`), and for every
    encoder `<name>.states`, `<name>.top_items`, `<name>.top_scores` and `<name>.ranks` (of the targets; 0: it never ranks).
    """
    bundle = Bundle(folder)
    judges = {name: Judge.of(bundle, name) for name in bundle.manifest["encoders"]}
    generator = np.random.default_rng(seed)
    lengths = np.concatenate([[0, 1, 1, LONGEST, LONGEST], generator.integers(1, LONGEST + 1, HISTORIES - 5)])
    rows = [clear_answers(list(judges.values()), row, int(length), generator) for row, length in enumerate(lengths)]
    histories, targets, answers = zip(*rows)
    tensors = {
        "histories": np.concatenate(histories).astype(np.uint32),
        "lengths": lengths.astype(np.uint32),
        "targets": np.array(targets, np.uint32),
    }
    for name, found in zip(judges, zip(*answers)):
        states, items, scores, ranks = (np.stack(column) for column in zip(*found))
        tensors[f"{name}.states"] = states.astype(np.float32)
        tensors[f"{name}.top_items"] = items.astype(np.uint32)
        tensors[f"{name}.top_scores"] = scores.astype(np.float32)
        tensors[f"{name}.ranks"] = ranks.astype(np.uint32)
    bundle_shown, out_shown = (path.name if path.is_absolute() else path.as_posix() for path in (folder, out))
    command = f"python -m oneiro_models golden {bundle_shown} {out_shown} --seed {seed}"
    out.write_bytes(save(tensors, {"command": command}))


@dataclass(frozen=True)
class Judge:
    """A bundle's encoder in PyTorch and the rows it is scored by."""

    network: Network
    unread: np.ndarray
    cold: np.ndarray
    rows: np.ndarray
    bias: np.ndarray | float

    @classmethod
    def of(cls, bundle: Bundle, name: str) -> "Judge":
        contract = bundle.manifest["encoders"][name]
        read, scored = (bundle.space(contract[space]) for space in ("input", "output"))
        unread, cold = (np.asarray(space["cold"] == 1) for space in (read, scored))
        return cls(bundled_network(bundle, name), unread, cold, values(scored).astype(np.float64), scored.get("bias", 0.0))

    def __call__(self, history: np.ndarray, target: int) -> tuple | None:
        """State, best items, their scores and the target's rank; None if they are not clear."""
        state = torch_states(self.network, [history[~self.unread[history]]])[0]
        scores = self.rows @ state + self.bias
        gap, own = GAP * np.abs(scores).max(), scores[target]
        scores[self.cold] = scores[history] = -np.inf
        best = np.argsort(-scores, kind="stable")[: TOP + 1]
        others = np.delete(scores, target)
        if (np.diff(scores[best]) > -gap).any() or (np.abs(others - own) < gap).any():
            return None
        rank = 0 if self.cold[target] else 1 + (others >= own).sum()
        return state, best[:TOP], scores[best[:TOP]], rank


def clear_answers(judges: list[Judge], row: int, length: int, generator: np.random.Generator) -> tuple:
    """A history, a target, and what each network answers. Items come again, and cold ones come in some; the third row
    has nothing but a cold one, and the fifth but one item, again and again. Some targets are of the history, some cold.
    """
    cold = judges[0].cold
    for _ in range(1000):
        some = generator.permutation(len(cold))[: min(max(1, length * 3 // 4), len(cold) - TOP - int(cold.sum()))]
        some = {2: np.flatnonzero(cold)[:1], 4: some[:1]}.get(row, some)
        history = generator.choice(some, length)
        among = {3: history, 4: np.flatnonzero(cold)}.get(row % 5, np.arange(len(cold)))
        target = int(generator.choice(among))
        answers = [judge(history, target) for judge in judges]
        if None not in answers:
            return history, target, answers
    raise Problem(f"no history of {length} items has a clear top {TOP}: are the rows trained?")


def golden_titles(out: Path) -> None:
    """Writes the key of every line of golden_titles.txt as a list of `{title, key}`."""
    titles = TITLES.read_text(encoding="utf-8").split("\n")[:-1]
    pairs = [{"title": title, "key": title_key(title)} for title in titles]
    lines = ",\n".join("  " + json.dumps(pair, ensure_ascii=False) for pair in pairs)
    out.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
