"""Bundles at work in ONNX Runtime, as the oneiro library runs them."""

import numpy as np
import onnxruntime

from . import Problem
from .bundle import Bundle
from .bundle.table import values


class Encoder:
    """A bundle's encoder in ONNX Runtime, one history at a time or several."""

    def __init__(self, bundle: Bundle, name: str):
        contract = bundle.manifest["encoders"][name]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        model = bundle.path(bundle.manifest["graphs"][contract["graph"]]["model"])
        self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        space = bundle.space(contract["input"])
        self.window, self.fixed, self.rows = contract["window"], contract["length"] == "fixed", values(space)
        self.cold = space.get("cold", np.zeros(len(self.rows), np.uint8))
        self.empty = np.zeros(self.rows.shape[1], np.float32)
        if contract["empty_row"] == "stored":
            self.empty = space["empty"]

    def __call__(self, history: np.ndarray) -> np.ndarray:
        """The state of one history of item numbers, oldest first."""
        return self.states([history])[0]

    def states(self, histories: list[np.ndarray]) -> np.ndarray:
        """The states of several histories in one run, [B, e]."""
        windows = [history[self.cold[history] == 0][-self.window :].astype(np.int64) for history in histories]
        longest = self.window if self.fixed else max(1, *map(len, windows))
        rows = np.tile(self.empty, (len(windows), longest, 1))
        for row, window in zip(rows, windows):
            row[: len(window)] = self.rows[window]
        length = np.array([max(len(window), 1) for window in windows], np.int64)
        return self.session.run(["state"], {"rows": rows, "length": length})[0]


class BundleScorer:
    """Scores by a bundle's encoder as it stands there, its tables in whatever type they have."""

    def __init__(self, bundle: Bundle, name: str | None = None):
        self.name = name or next(iter(bundle.manifest["encoders"]))
        self.encode = Encoder(bundle, self.name)
        output = bundle.manifest["encoders"][self.name]["output"]
        space = bundle.space(output)
        entry = bundle.manifest["spaces"][output]
        if entry["metric"] != "dot":
            raise Problem(f"space `{output}` is scored by {entry['metric']}, expected dot")
        self.rows, self.cold = values(space), space.get("cold", np.zeros(entry["rows"], np.uint8)) == 1
        self.bias = space["bias"] if entry.get("bias") else np.float32(0)

    def __call__(self, histories: list[np.ndarray]) -> np.ndarray:
        return np.where(self.cold, -np.inf, self.encode.states(histories) @ self.rows.T + self.bias)
