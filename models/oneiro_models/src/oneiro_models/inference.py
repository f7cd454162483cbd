"""Bundles at work in ONNX Runtime, as the oneiro library runs them."""

from collections.abc import Callable

import numpy as np
import onnxruntime

from . import Problem
from .bundle import Bundle
from .bundle.table import values
from .diffusion import Schedule
from .noise import gaussian


def session(bundle: Bundle, graph: str) -> onnxruntime.InferenceSession:
    """A graph of a bundle, run by one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # Errors only: it warns of every input with a default, which adapters are given by.
    options.log_severity_level = 3
    model = bundle.path(bundle.manifest["graphs"][graph]["model"])
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


class Encoder:
    """A bundle's encoder in ONNX Runtime, one history at a time or several."""

    def __init__(self, bundle: Bundle, name: str):
        contract = bundle.manifest["encoders"][name]
        self.session = session(bundle, contract["graph"])
        space = bundle.space(contract["input"])
        self.window, self.fixed, self.rows = contract["window"], contract["length"] == "fixed", values(space)
        self.cold = space.get("cold", np.zeros(len(self.rows), np.uint8))
        self.empty = np.zeros(self.rows.shape[1], np.float32)
        if contract["empty_row"] == "stored":
            self.empty = space["empty"]

    def __call__(self, history: np.ndarray) -> np.ndarray:
        """The state of one history of item numbers, oldest first."""
        return self.states([history])[0]

    def seen(self, history: np.ndarray) -> np.ndarray:
        """The items that it sees of a history: the last ones of the window that it knows."""
        return history[self.cold[history] == 0][-self.window :].astype(np.int64)

    def states(self, histories: list[np.ndarray]) -> np.ndarray:
        """The states of several histories in one run, [B, e]."""
        windows = [self.seen(history) for history in histories]
        longest = self.window if self.fixed else max(1, *map(len, windows))
        rows = np.tile(self.empty, (len(windows), longest, 1))
        for row, window in zip(rows, windows):
            row[: len(window)] = self.rows[window]
        length = np.array([max(len(window), 1) for window in windows], np.int64)
        return self.session.run(["state"], {"rows": rows, "length": length})[0]


    def after(self, history: np.ndarray, row: np.ndarray) -> np.ndarray:
        """The state after the last items of a history and one more row [d], which stands where an item's would."""
        known = [*self.rows[self.seen(history)], row][-self.window :]
        rows = np.stack(known + [self.empty] * (self.window - len(known) if self.fixed else 0))
        return self.session.run(["state"], {"rows": rows[None].astype(np.float32), "length": np.array([len(known)])})[0][0]


class BundleScorer:
    """Scores by a bundle's encoder as it stands there, its tables in whatever type they have."""

    def __init__(self, bundle: Bundle, name: str | None = None, output: str | None = None):
        self.name = name or next(iter(bundle.manifest["encoders"]))
        self.encode = Encoder(bundle, self.name)
        output = output or bundle.manifest["encoders"][self.name]["output"]
        space = bundle.space(output)
        entry = bundle.manifest["spaces"][output]
        if entry["metric"] != "dot":
            raise Problem(f"space `{output}` is scored by {entry['metric']}, expected dot")
        self.rows, self.cold = values(space), space.get("cold", np.zeros(entry["rows"], np.uint8)) == 1
        self.bias = space["bias"] if entry.get("bias") else np.float32(0)

    def __call__(self, histories: list[np.ndarray]) -> np.ndarray:
        return np.where(self.cold, -np.inf, self.encode.states(histories) @ self.rows.T + self.bias)


DRAWS = 3
"""How often an oracle answers each history."""


class Oracle:
    """A bundle's oracle: its chain collapsed where the denoiser is affine, else its graph in ONNX Runtime, step by step."""

    def __init__(self, bundle: Bundle, name: str):
        contract = bundle.manifest["oracles"][name]
        self.part, self.guidance = bundle.tensors(contract["part"]), np.float32(contract["guidance"])
        self.schedule = Schedule(*(self.part[f"schedule.{table}"] for table in ("signal", "x0", "x", "deviation")))
        self.graph = session(bundle, contract["graph"]) if "graph" in contract else None

    def condition(self, states: np.ndarray) -> np.ndarray:
        """c' = (1 + w)·h − w·φ."""
        return (1 + self.guidance) * states - self.guidance * self.part["unconditional"]

    def __call__(self, states: np.ndarray, seeds: np.ndarray, draw: int = 0) -> np.ndarray:
        """The oracle of each state, [B, d]."""
        steps, width = len(self.schedule), states.shape[1]
        if "collapsed.noise" not in self.part:
            return self.chain(states, lambda t: gaussian(seeds, t, draw, width))
        mean = self.condition(states) @ self.part["collapsed.condition"].T + self.part["collapsed.constant"]
        return mean + gaussian(seeds, steps, draw, width) @ self.part["collapsed.noise"].T

    def chain(self, states: np.ndarray, noise: Callable, path: list | None = None) -> np.ndarray:
        """Step by step, by `noise`: t → z, with t = T for the initial one: by the tables of an affine denoiser, else its graph."""
        way = self.by_recurrence if "affine.x" in self.part else self.by_graph
        return way(states, noise, path)

    def by_graph(self, states: np.ndarray, noise: Callable, path: list | None = None) -> np.ndarray:
        """Through the denoiser's graph, guided and alone as one batch."""
        both = np.concatenate([states, np.tile(self.part["unconditional"], (len(states), 1))])

        def predict(x: np.ndarray, t: int) -> np.ndarray:
            inputs = {"x": np.tile(x, (2, 1)), "condition": both, "step": np.full(len(both), t)}
            guided, alone = np.split(self.graph.run(["x0"], inputs)[0], 2)
            return (1 + self.guidance) * guided - self.guidance * alone

        return self.schedule.chain(predict, noise(len(self.schedule)), noise, path)

    def by_recurrence(self, states: np.ndarray, noise: Callable, path: list | None = None) -> np.ndarray:
        """By the tables of an affine denoiser."""
        w_x, steps = self.part["affine.x"], self.part["affine.steps"]
        offset = self.condition(states) @ self.part["affine.condition"].T
        return self.schedule.chain(lambda x, t: x @ w_x.T + offset + steps[t], noise(len(self.schedule)), noise, path)


class OracleScorer(BundleScorer):
    """Scores by each draw's oracle as the bundle holds it."""

    draws = DRAWS

    def __init__(self, bundle: Bundle, name: str):
        super().__init__(bundle, bundle.manifest["oracles"][name]["encoder"], bundle.manifest["oracles"][name]["output"])
        self.name, self.oracle = name, Oracle(bundle, name)

    def __call__(self, histories: list[np.ndarray], seeds: np.ndarray) -> np.ndarray:
        """[D, B, N], by the seed of each history."""
        states = self.encode.states(histories)
        dreams = np.stack([self.oracle(states, seeds, draw) for draw in range(self.draws)])
        return np.where(self.cold, -np.inf, dreams @ self.rows.T + self.bias)


class QNetwork:
    """A bundle's Q-network."""

    def __init__(self, bundle: Bundle, name: str):
        contract = bundle.manifest["q_networks"][name]
        self.encode, self.rows = Encoder(bundle, contract["encoder"]), None
        self.graph = session(bundle, contract["graph"]) if "graph" in contract else None
        self.cold = np.zeros(len(self.encode.rows), bool)
        if "output" in contract:
            space = bundle.space(contract["output"])
            self.rows, self.bias = values(space), space.get("bias", np.float32(0))
            self.cold = space.get("cold", self.cold) == 1

    def __call__(self, histories: list[np.ndarray]) -> np.ndarray:
        """Q of every item, [B, N]; −∞ of those that are cold in its space."""
        found = self.encode.states(histories)
        if self.graph:
            found = self.graph.run(None, {"state": found})[0]
        if self.rows is not None:
            found = found @ self.rows.T + self.bias
        return np.where(self.cold, np.float32(-np.inf), found)


class ValueScorer(BundleScorer):
    """Scores by a recipe that begins with a Q-network, or with an encoder whose candidates a Q-network then ranks."""

    def __init__(self, bundle: Bundle):
        first, *second = bundle.manifest["recipe"]["steps"]
        self.count, self.seen = (second or [first])[0]["count"], bundle.manifest["seen"]
        super().__init__(bundle, first.get("encoder"))
        self.q = QNetwork(bundle, (first if "q_network" in first else second[0])["q_network"])
        self.weight = second[0]["weight"] if second else None
        self.name += " and Q" if second else " by Q"

    def __call__(self, histories: list[np.ndarray]) -> np.ndarray:
        found = self.q(histories)
        if self.weight is None:
            return found
        # Where bundles are only optimised, PyTorch is not installed.
        import torch

        from .reinforcement import blended

        unranked = np.tile(self.cold, (len(histories), 1))
        if self.seen == "exclude":
            for row, history in zip(unranked, histories):
                row[history] = True
        scores, found, unranked = (torch.tensor(part) for part in (super().__call__(histories), found, unranked))
        return blended(scores, found, self.weight, unranked, self.count).numpy()


def scorer_of(bundle: Bundle) -> BundleScorer:
    """By the oracle or the Q-network that the recipe names; by the first encoder if it names none."""
    steps = bundle.manifest["recipe"]["steps"]
    if any("q_network" in step for step in steps):
        return ValueScorer(bundle)
    name = steps[0].get("oracle")
    return OracleScorer(bundle, name) if name else BundleScorer(bundle)
