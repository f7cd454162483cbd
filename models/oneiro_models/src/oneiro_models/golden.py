"""Golden vectors: what PyTorch answers to seeded synthetic histories, for the library's parity tests.

The networks are the PyTorch modules with the weights read back from the bundle, so anybody can make them anew.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from . import Problem
from .bundle import Bundle, title_key
from .bundle.table import values
from .encoder import bundled_network
from .export import torch_states
from .networks import DreamRec, Network
from .noise import gaussian
from .oracle import bundled_oracle
from .reinforcement import blended

HISTORIES, LONGEST, TOP, RANKED = 100, 60, 20, 12
GAP = 2e-5
"""Of the greatest score. Histories whose best items, or whose target and another item, lie closer together than this
are drawn anew, so that the order can be asked for exactly."""

TITLES = Path(__file__).with_name("golden_titles.txt")


def golden(folder: Path, out: Path, seed: int = 2013) -> None:
    """Writes `histories` (one after the other), their `lengths`, an item each to be ranked (`targets`), and for every
    encoder `<name>.states`, `<name>.top_items`, `<name>.top_scores` and `<name>.ranks` (of the targets; 0: it never ranks).
    For every Q-network the same as `q.<name>.…`, its queries for states; and, of `candidates` that came with `scores`, their
    `q.<name>.values` and what these and the scores are `q.<name>.blended` to, by its weight (NaN: they never rank).
    """
    bundle = Bundle(folder)
    judges = {name: Judge.of(bundle, name) for name in bundle.manifest["encoders"]}
    valued = {f"q.{name}": contract["weight"] for name, contract in bundle.manifest.get("q_networks", {}).items()}
    judges |= {name: Judge.of_values(bundle, name.removeprefix("q.")) for name in valued}
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
    if valued:
        items = len(next(iter(judges.values())).cold)
        candidates = np.stack([generator.permutation(items)[:RANKED] for _ in histories])
        scores = generator.normal(size=candidates.shape).astype(np.float32)
        tensors |= {"candidates": candidates.astype(np.uint32), "scores": scores}
        for name, weight in valued.items():
            found = np.stack([judges[name].scores(history)[1] for history in histories])
            found[:, judges[name].cold] = np.nan
            found = np.take_along_axis(found, candidates, 1)
            tensors[f"{name}.values"] = found.astype(np.float32)
            blend = blended(torch.tensor(scores, dtype=torch.float64), torch.tensor(found), weight).numpy()
            tensors[f"{name}.blended"] = np.where(np.isfinite(blend), blend, np.nan).astype(np.float32)
    bundle_shown, out_shown = (path.name if path.is_absolute() else path.as_posix() for path in (folder, out))
    command = f"python -m oneiro_models golden {bundle_shown} {out_shown} --seed {seed}"
    out.write_bytes(save(tensors, {"command": command}))


@dataclass(frozen=True)
class Judge:
    """A bundle's encoder in PyTorch and the rows it is scored by, itself or what a layer makes of its states."""

    network: Network
    unread: np.ndarray
    cold: np.ndarray
    rows: np.ndarray
    bias: np.ndarray | float
    layer: tuple[np.ndarray, np.ndarray] | None = None
    """Weights [e, q] and bias [q]."""

    @classmethod
    def of(cls, bundle: Bundle, name: str) -> "Judge":
        contract = bundle.manifest["encoders"][name]
        read, scored = (bundle.space(contract[space]) for space in ("input", "output"))
        unread, cold = (np.asarray(space["cold"] == 1) for space in (read, scored))
        return cls(bundled_network(bundle, name), unread, cold, values(scored).astype(np.float64), scored.get("bias", 0.0))

    @classmethod
    def of_values(cls, bundle: Bundle, name: str) -> "Judge":
        """The judge of a Q-network."""
        contract, layer = bundle.manifest["q_networks"][name], None
        encoder = cls.of(bundle, contract["encoder"])
        if "graph" in contract:
            _, weights = bundle.graph(contract["graph"])
            layer = tuple(weights[f"value.{part}"].astype(np.float64) for part in ("weight", "bias"))
        if "output" not in contract:  # the graph values all items, cold or not
            return replace(encoder, cold=np.zeros_like(encoder.cold), rows=layer[0].T, bias=layer[1])
        scored = bundle.space(contract["output"])
        rows, bias = values(scored).astype(np.float64), scored.get("bias", 0.0)
        return replace(encoder, cold=scored["cold"] == 1, rows=rows, bias=bias, layer=layer)

    def scores(self, history: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The state, or what the layer makes of it, and the score of every item, in f64."""
        state = torch_states(self.network, [history[~self.unread[history]]])[0]
        if self.layer:
            state = state @ self.layer[0] + self.layer[1]
        return state, self.rows @ state + self.bias

    def __call__(self, history: np.ndarray, target: int) -> tuple | None:
        """State, best items, their scores and the target's rank; None if they are not clear."""
        state, scores = self.scores(history)
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


DREAMS, DREAMT, DRAWS, CANDIDATES = 20, 10, 3, 60
CHAIN_GAP = 1e-3
"""As `GAP`, for oracles: chains of thousands of steps in f32 agree to a ten-thousandth."""
SKIPPING = 50


def golden_oracles(folder: Path, out: Path, seed: int = 2013) -> None:
    """Writes `histories`, their `lengths` and a seed each (`seeds`), and for every oracle, with the bundle's guidance:

    `<name>.states` [R, d]; `.chain` [R, D, d], the oracle step by step in each draw; `.mean` [R, d], from zeros without noise;
    `.skipped` [R, d], in 50 steps from draw 0's first noise; `.collapsed` [R, D, d] of an affine denoiser; `.noise` [T+1, d],
    that of the first row in draw 0 by step, the first last; `.top_items`, `.top_scores` [R, 10] by draw 0, by the collapsed
    chain where there is one; `.merged` [R, 10], the items of all draws in turn.
    """
    bundle = Bundle(folder)
    judges = {name: Dreamer.of(bundle, name) for name in bundle.manifest["oracles"]}
    generator = np.random.default_rng(seed)
    cold = next(iter(judges.values())).cold
    histories = [np.array([], int), np.flatnonzero(cold)[:1]] * 4
    lengths = generator.integers(1, LONGEST + 1, CANDIDATES)
    histories += [generator.choice(generator.permutation(len(cold))[: max(1, min(length, 15))], length) for length in lengths]
    seeds = generator.integers(0, 2**63, len(histories)).astype(np.uint64)
    answers = [judge(histories, seeds) for judge in judges.values()]
    clear = np.flatnonzero(np.all([answer.pop("clear") for answer in answers], axis=0))[:DREAMS]
    if len(clear) < DREAMS:
        raise Problem(f"only {len(clear)} of {len(histories)} histories have a clear top {DREAMT}")
    kept = [histories[row].astype(np.uint32) for row in clear]
    tensors = {"histories": np.concatenate(kept), "lengths": np.array([len(row) for row in kept], np.uint32), "seeds": seeds[clear]}
    for (name, judge), found in zip(judges.items(), answers):
        tensors |= {f"{name}.{key}": np.ascontiguousarray(values[clear]) for key, values in found.items()}
        steps = range(len(judge.network.schedule) + 1)
        tensors[f"{name}.noise"] = np.concatenate([gaussian(seeds[clear[:1]], t, 0, judge.network.shape.width) for t in steps])
    bundle_shown, out_shown = (path.name if path.is_absolute() else path.as_posix() for path in (folder, out))
    out.write_bytes(save(tensors, {"command": f"python -m oneiro_models golden-oracles {bundle_shown} {out_shown} --seed {seed}"}))


@dataclass(frozen=True)
class Dreamer:
    """A bundle's oracle in PyTorch, step by step, and the rows it is scored against."""

    network: DreamRec
    cold: np.ndarray
    rows: np.ndarray
    collapsed: dict[str, np.ndarray] | None

    @classmethod
    def of(cls, bundle: Bundle, name: str) -> "Dreamer":
        contract = bundle.manifest["oracles"][name]
        scored, part = bundle.space(contract["output"]), bundle.tensors(contract["part"])
        tables = {key: part[f"collapsed.{key}"] for key in ("condition", "constant", "noise")} if "affine.x" in part else None
        return cls(bundled_oracle(bundle, name), scored["cold"] == 1, values(scored).astype(np.float64), tables)

    def __call__(self, histories: list[np.ndarray], seeds: np.ndarray) -> dict[str, np.ndarray]:
        """What `golden_oracles` writes of these histories, and whether their orders are `clear`."""
        network, steps = self.network, len(self.network.schedule)
        states = torch.tensor(torch_states(network, [history[~self.cold[history]] for history in histories]))

        def noise(t: int, draw: int) -> torch.Tensor:
            return torch.tensor(gaussian(seeds, t, draw, states.shape[1]))

        with torch.inference_mode():
            chains = [network.chain(states, noise(steps, draw), lambda t: noise(t, draw)) for draw in range(DRAWS)]
            found = {"states": states, "chain": torch.stack(chains, 1), "mean": network.chain(states, torch.zeros_like(states))}
            found["skipped"] = network.schedule.skipping(lambda x, t: network.predict(x, states, t), noise(steps, 0), SKIPPING)
            conditions = network.guided(states).numpy()
        found = {key: tensor.numpy() for key, tensor in found.items()}
        dreams = found["chain"]
        if self.collapsed:
            mean = conditions @ self.collapsed["condition"].T + self.collapsed["constant"]
            spread = [noise(steps, draw).numpy() @ self.collapsed["noise"].T for draw in range(DRAWS)]
            dreams = found["collapsed"] = np.stack([mean + each for each in spread], 1)
        scores = dreams @ self.rows.T
        gap = CHAIN_GAP * np.abs(scores).max(2, keepdims=True)
        for row, history in enumerate(histories):
            scores[row][:, self.cold | np.isin(np.arange(len(self.rows)), history)] = -np.inf
        best = np.argsort(-scores, axis=2, kind="stable")[:, :, : DREAMT + 1]
        ordered = np.take_along_axis(scores, best, 2)
        found["clear"] = (np.diff(ordered, axis=2) < -gap).all((1, 2))
        found["top_items"] = best[:, 0, :DREAMT].astype(np.uint32)
        found["top_scores"] = ordered[:, 0, :DREAMT].astype(np.float32)
        found["merged"] = np.array([merged(draws)[:DREAMT] for draws in best.tolist()], np.uint32)
        return found


def merged(draws: list[list[int]]) -> list[int]:
    """The items of several rankings, the best of each that is not yet there taken in turn."""
    found: dict[int, None] = {}
    queues = [iter(draw) for draw in draws]
    while queues:
        for queue in list(queues):
            item = next((item for item in queue if item not in found), None)
            if item is None:
                queues.remove(queue)
            else:
                found[item] = None
    return list(found)


def golden_titles(out: Path) -> None:
    """Writes the key of every line of golden_titles.txt as a list of `{title, key}`."""
    titles = TITLES.read_text(encoding="utf-8").split("\n")[:-1]
    pairs = [{"title": title, "key": title_key(title)} for title in titles]
    lines = ",\n".join("  " + json.dumps(pair, ensure_ascii=False) for pair in pairs)
    out.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
