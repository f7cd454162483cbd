"""What one would write instead: a plain PyTorch sampler, and onnxruntime going through the same graph in a loop.

`peer.py make FOLDER ITEMS STEPS SCHEDULE GUIDANCE` writes a bundle with two untrained oracles, `affine` and `mlp2`.
`peer.py torch|onnxruntime FOLDER ORACLE` plays: it reads lines and answers each with one.

    dream USERS N     N times: the histories of USERS users in, the best 100 of each out      N times in ns
    answers USERS     the best items of each user under the noise of the seed 7                item item … | item item …

A user's history is that of `history` below. One thread.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from oneiro_models.bundle import Bundle, BundleWriter, Catalog
from oneiro_models.diffusion import Schedule
from oneiro_models.export import Description, add, complete
from oneiro_models.networks import DreamRec, Shape
from oneiro_models.noise import gaussian
from oneiro_models.oracle import bundled_oracle
from oneiro_models.tiny import dreaming

WIDTH, WINDOW, COUNT, SEED = 64, 10, 100, 7


def history(user: int, items: int) -> list[int]:
    return [(user * 97 + place * (place + 31) * 13) % items for place in range(1 + user * 7 % WINDOW)]


def make(folder: Path, items: int, steps: int, schedule: str, guidance: float) -> None:
    generator = np.random.default_rng(SEED)
    titles = [f"item {number}" for number in range(items)]
    catalog = Catalog([f"i{number}" for number in range(items)], titles, np.ones(items, int), {})
    bundle = BundleWriter(folder, "race", "Made up, for the race of oracles")
    bundle.catalog(catalog)
    networks, cold = {}, np.zeros(items, bool)
    for name, kind in (("affine", "mlp1"), ("mlp2", "mlp2")):
        network = networks[name] = dreaming(DreamRec(Shape(items, WIDTH, WINDOW), Schedule.of(schedule, steps), kind), generator)
        network.guidance = guidance
        add(bundle, network, cold, name=name, prefix=f"{name}.", **({"neighbours": "cosine"} if name == "affine" else {}))
    complete(bundle, Description("race", "", {}), networks)


class Torch:
    """The chain as the paper has it: two predictions a step, for all users at once."""

    def __init__(self, folder: Path, oracle: str):
        torch.set_num_threads(1)
        self.network = bundled_oracle(Bundle(folder), oracle)
        self.items = self.network.shape.items
        self.steps = len(self.network.schedule)

    def __call__(self, users: int, seed: int | None) -> np.ndarray:
        histories = [history(user, self.items) for user in range(users)]
        rows = torch.full((users, WINDOW), self.items)
        for row, items in zip(rows, histories):
            row[: len(items)] = torch.tensor(items)
        with torch.inference_mode():
            states = self.network(rows, torch.tensor([len(items) for items in histories]))
            x = self.network.chain(states, self.noise(users, self.steps, seed), lambda t: self.noise(users, t, seed))
            scores = x @ self.network.table[: self.items].T
            for row, items in zip(scores, histories):
                row[items] = -torch.inf
            return scores.topk(COUNT).indices.numpy()

    def noise(self, users: int, t: int, seed: int | None) -> torch.Tensor:
        return torch.randn(users, WIDTH) if seed is None else torch.tensor(gaussian([seed] * users, t, 0, WIDTH))


class OnnxRuntime:
    """The graphs of the bundle; both predictions of a step in one run."""

    def __init__(self, folder: Path, oracle: str):
        bundle = Bundle(folder)
        contract = bundle.manifest["oracles"][oracle]
        encoder = bundle.manifest["encoders"][contract["encoder"]]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1

        def session(graph: str) -> onnxruntime.InferenceSession:
            model = bundle.manifest["parts"][bundle.manifest["graphs"][graph]["model"]]["file"]
            return onnxruntime.InferenceSession(str(folder / model), options, providers=["CPUExecutionProvider"])

        self.encoder, self.denoiser = session(encoder["graph"]), session(contract["graph"])
        table = bundle.space(encoder["input"])
        self.rows, self.empty, self.items = table["rows"], table["empty"], len(table["rows"])
        part = bundle.tensors(contract["part"])
        self.phi, self.w = part["unconditional"], np.float32(contract["guidance"])
        self.schedule = [part[f"schedule.{name}"] for name in ("x0", "x", "deviation")]

    def __call__(self, users: int, seed: int | None) -> np.ndarray:
        histories = [history(user, self.items) for user in range(users)]
        length = np.array([len(items) for items in histories])
        rows = np.tile(self.empty, (users, length.max(), 1))
        for row, items in zip(rows, histories):
            row[: len(items)] = self.rows[items]
        states = self.encoder.run(["state"], {"rows": rows, "length": length})[0]
        condition = np.concatenate([states, np.tile(self.phi, (users, 1))])
        x0s, xs, deviations = self.schedule
        x = self.noise(users, len(xs), seed)
        for t in reversed(range(len(xs))):
            feed = {"x": np.concatenate([x, x]), "condition": condition, "step": np.full(2 * users, t)}
            both = self.denoiser.run(["x0"], feed)[0]
            x = x0s[t] * ((1 + self.w) * both[:users] - self.w * both[users:]) + xs[t] * x
            if t:
                x += deviations[t] * self.noise(users, t, seed)
        scores = x @ self.rows.T
        for row, items in zip(scores, histories):
            row[items] = -np.inf
        best = np.argpartition(scores, -COUNT)[:, -COUNT:]
        order = np.argsort(-np.take_along_axis(scores, best, 1))
        return np.take_along_axis(best, order, 1)

    def noise(self, users: int, t: int, seed: int | None) -> np.ndarray:
        if seed is None:
            return self.generator.standard_normal((users, WIDTH), np.float32)
        return gaussian([seed] * users, t, 0, WIDTH)

    generator = np.random.default_rng(SEED)


def play(player: Torch | OnnxRuntime) -> None:
    for line in sys.stdin:
        verb, users, *count = line.split()
        if verb == "answers":
            print(*(" ".join(map(str, row)) for row in player(int(users), SEED)), sep=" | ", flush=True)
            continue
        times = []
        for _ in range(int(count[0])):
            start = time.perf_counter_ns()
            player(int(users), None)
            times.append(time.perf_counter_ns() - start)
        print(*times, flush=True)


if __name__ == "__main__":
    what, folder, *rest = sys.argv[1:]
    if what == "make":
        make(Path(folder), int(rest[0]), int(rest[1]), rest[2], float(rest[3]))
    else:
        play({"torch": Torch, "onnxruntime": OnnxRuntime}[what](Path(folder), rest[0]))
