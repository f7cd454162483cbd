"""What a policy that was never at work would have earned, estimated from the log of another (`data/bandit.py`).

With w = π(a|x) / p the weight of a recommendation that the logging policy made with probability p, r its click and q̂ a
predicted click rate (Dudík, Langford and Li, "Doubly Robust Policy Evaluation and Learning", ICML 2011; the self-normalised
form: Swaminathan and Joachims, NeurIPS 2015):

    IPS    mean of w·r                                              without bias, wide
    SNIPS  Σ w·r / Σ w                                              a little bias, narrower
    DR     mean of Σ_a π(a|x)·q̂(a) + w·(r − q̂(a_shown))            without bias, narrower the better q̂ is

The earlier part of a log is learned from, the later one estimates. MCRL sees a person's earlier clicks as the history, fewest
clicks first and the last recommendation behind them; a click is worth 1. Policies show a list of `LIST` items, each of them
alike at every position.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import Problem
from .bundle import Catalog
from .data import Dataset, Events, Log, Rows
from .metrics import Figure
from .options import Options
from .record import file_name, keep
from .train import Scorer, Training, load_run

LIST = 3
PRIOR = 100
"""A predicted click rate is that of the item, with so many recommendations more that had the mean rate."""
ARRIVAL = "arrival"
"""Stands before everybody's clicks, so that nobody's history is empty; it is never shown."""
SUFFIX = ".offline.json"


def inverse_propensity(weights: np.ndarray, clicks: np.ndarray) -> Figure:
    return _mean(weights * clicks)


def self_normalised(weights: np.ndarray, clicks: np.ndarray) -> Figure:
    """Its error by the delta method."""
    if not weights.sum():
        return Figure(0.0, float("nan"))
    value = float((weights * clicks).sum() / weights.sum())
    return Figure(value, float(np.sqrt((weights**2 * (clicks - value) ** 2).sum()) / weights.sum()))


def doubly_robust(policy: np.ndarray, log: Log, rates: np.ndarray) -> Figure:
    """`policy` [n, N]: the probability of each item; `rates` [N]: q̂, learned elsewhere."""
    weights = policy[np.arange(len(log)), log.items] / log.propensities
    return _mean(policy @ rates + weights * (log.clicks - rates[log.items]))


def _mean(values: np.ndarray) -> Figure:
    return Figure(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))


def estimates(policy: np.ndarray, log: Log, rates: np.ndarray) -> dict[str, Figure]:
    """Clicks per recommendation by each estimator."""
    if not np.allclose(policy.sum(1), 1):
        raise Problem("the probabilities of a policy do not add up to 1")
    weights = policy[np.arange(len(log)), log.items] / log.propensities
    found = {"IPS": inverse_propensity(weights, log.clicks), "SNIPS": self_normalised(weights, log.clicks)}
    return found | {"DR": doubly_robust(policy, log, rates)}


def listed(scores: np.ndarray) -> np.ndarray:
    """The policy that shows the `LIST` best items by score [n, N], ties to the lower item."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :LIST]
    policy = np.zeros(scores.shape)
    np.put_along_axis(policy, best, 1 / LIST, 1)
    return policy


def predicted_rates(log: Log) -> np.ndarray:
    """The click rate of every item, f64 [N]."""
    items = log.affinities.shape[1]
    shown, clicked = np.bincount(log.items, minlength=items), np.bincount(log.items, log.clicks, items)
    return (clicked + PRIOR * log.clicks.mean()) / (shown + PRIOR)


def histories(log: Log) -> list[np.ndarray]:
    """The arrival, then each item that the person clicked before, the fewest clicks first and of equals the lower item."""
    items = log.affinities.shape[1]
    found = []
    for clicks in log.affinities:
        had = np.flatnonzero(clicks)
        found.append(np.concatenate([[items], had[np.argsort(clicks[had], kind="stable")]]))
    return found


def dataset(log: Log) -> Dataset:
    """The log as sequences: histories, each with its recommendation at the end; questions are what was clicked."""
    past, items = histories(log), log.affinities.shape[1]
    if not log.clicks.any():
        raise Problem("nothing was clicked in the part of the log to learn from")
    chosen = [np.append(history, item) for history, item in zip(past, log.items)]
    rewards = [[0.0, *[1.0] * (len(history) - 1), float(click)] for history, click in zip(past, log.clicks)]
    users = np.repeat(np.arange(len(log)), [len(part) for part in chosen])
    train = Events(users, np.concatenate(chosen), None, np.concatenate(rewards))
    clicked = Rows([past[row] for row in np.flatnonzero(log.clicks)], log.items[log.clicks])
    catalog = Catalog([*map(str, range(items)), ARRIVAL])
    name = f"open-bandit, {log.policy}, {log.campaign}"
    return Dataset(catalog, train, None, questions={"what was clicked": clicked}, seen="allow", name=name)


@dataclass(frozen=True)
class Estimates:
    """The value of several policies by a log: `figures` by policy and estimator, of `count` recommendations; and how many
    of the clicks were on what the policy would have shown, too, `clicks`.
    """

    policy: str
    campaign: str
    count: int
    command: str
    clicks: dict[str, int]
    figures: dict[str, dict[str, Figure]]

    def save(self, folder: Path) -> Path:
        return keep(self, folder, file_name("open-bandit", self.policy, self.campaign) + SUFFIX)


def estimated(log: Log, folder: Path, options: Options, share: float = 0.5, device: str = "cpu") -> Estimates:
    """Trains MCRL on the first `share` of a log in `folder`, and estimates its policies and others by the rest."""
    if not 0 < share < 1:
        raise Problem(f"the share of the log to learn from is {share}, expected one between 0 and 1")
    cut = round(len(log) * share)
    past, rest = log.part(slice(0, cut)), log.part(slice(cut, None))
    data, items, rates = dataset(past), log.affinities.shape[1], predicted_rates(past)
    Training(data, folder, options, device).run()
    network, _ = load_run(folder, data)
    clicked = np.bincount(past.items, past.clicks, items) + past.affinities.sum(0)
    policies = {"uniform": np.full((len(rest), items), 1 / items), "popularity": listed(np.tile(clicked, (len(rest), 1)))}
    for network.by, name in (("logits", "MCRL by its logits"), ("q", "MCRL by Q")):
        policies[name] = listed(Scorer(network, data.cold())(histories(rest))[:, :items])
    logged, own = f"as logged ({log.policy})", _mean(rest.clicks)
    figures = {logged: dict.fromkeys(("IPS", "SNIPS", "DR"), own)}
    figures |= {name: estimates(policy, rest, rates) for name, policy in policies.items()}
    clicks = {logged: int(rest.clicks.sum())}
    clicks |= {name: int((policy[np.arange(len(rest)), rest.items] > 0)[rest.clicks].sum()) for name, policy in policies.items()}
    command = f"python -m oneiro_models offline DATA/open-bandit RUN --policy {log.policy} --campaign {log.campaign}"
    command += ("" if share == 0.5 else f" --share {share}") + options.command().replace(" --network mcrl", "", 1)
    return Estimates(log.policy, log.campaign, len(rest), command, clicks, figures)


def load(path: Path) -> Estimates:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        by_policy = content.pop("figures").items()
        figures = {policy: {name: Figure(**one) for name, one in found.items()} for policy, found in by_policy}
        return Estimates(**content, figures=figures)
    except (ValueError, TypeError, KeyError) as error:
        raise Problem(f"{path} is no offline estimate: {error}") from None


def shown(found: Estimates) -> str:
    """Its table, in clicks per thousand recommendations."""
    lines = ["| policy | IPS | SNIPS | DR | clicks in common |", "|---" * 5 + "|"]
    for policy, figures in found.figures.items():
        cells = [f"{1000 * figure.mean:.2f} ± {1000 * figure.error:.2f}" for figure in figures.values()]
        lines.append("| " + " | ".join([policy, *cells, str(found.clicks[policy])]) + " |")
    return "\n".join(lines)


def section(estimates: list[Estimates]) -> str:
    """All of them for the page of results."""
    lines = [HEAD]
    for one in sorted(estimates, key=lambda one: (one.campaign, one.policy)):
        heading = f"### {one.campaign}, logged by {one.policy}\n\n{one.count} recommendations.\n"
        lines += [heading, shown(one), f"\n- `{one.command}`\n"]
    return "\n".join(lines)


HEAD = (
    "## open-bandit: what a policy would have earned\n\n"
    "Clicks per thousand recommendations ± standard error, estimated from the later half of each log, what the policies know "
    "from the earlier half. IPS weighs clicks by inverse propensity, SNIPS normalises the weights, DR adds predicted click rates. "
    "Each policy shows a list of three items. Clicks in common: those on items that the policy would have shown, too; where they "
    "are few, trust neither a figure nor its error.\n"
)
