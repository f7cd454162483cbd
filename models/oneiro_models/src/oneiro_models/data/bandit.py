"""Logged recommendations: what was shown where, how likely it was to be shown, and whether a person clicked.

The Open Bandit Dataset (Saito, Aihara, Matsutani and Narita, "Open Bandit Dataset and Pipeline: Towards Realistic and
Reproducible Off-Policy Evaluation", NeurIPS 2021). Two policies were at work at the same time: `random` shows every item
alike, `bts` is Bernoulli Thompson sampling. What a policy that was never at work would have earned is estimated from such logs.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import Problem
from .columns import columns
from .dataset import Origin

POLICIES = ("random", "bts")
CAMPAIGNS = {"men": 34, "women": 46}
"""The campaigns and how many items each has."""

ORIGIN = Origin(
    data_set="Open Bandit Dataset, by way of st-tech/zr-obp",
    licence="CC BY 4.0",
    credit="ZOZO, Inc.; Saito, Aihara, Matsutani and Narita 2021",
)


@dataclass(frozen=True)
class Log:
    """n recommendations in order of time, over N items.

    `times` f64 [n] in Unix seconds; `items`, `positions` (1, 2 or 3) i64 [n]; `clicks` bool [n];
    `propensities` f64 [n]: the probability with which the policy showed this item at this position;
    `people` str [n, 4]: hashed categories; `affinities` f64 [n, N]: the person's earlier clicks by item.
    `item_number` f64 [N] and `item_categories` str [N, 3] describe the items.
    """

    policy: str
    campaign: str
    times: np.ndarray
    items: np.ndarray
    positions: np.ndarray
    clicks: np.ndarray
    propensities: np.ndarray
    people: np.ndarray
    affinities: np.ndarray
    item_number: np.ndarray
    item_categories: np.ndarray

    def __len__(self) -> int:
        return len(self.items)

    def part(self, rows: slice) -> "Log":
        """Some of the recommendations."""
        columns = ("times", "items", "positions", "clicks", "propensities", "people", "affinities")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})


def read_bandit(folder: Path, policy: str, campaign: str) -> Log:
    """The log of one policy (`random`, `bts`) in one campaign (`men`, `women`)."""
    for what, given, known in (("policy", policy, POLICIES), ("campaign", campaign, CAMPAIGNS)):
        if given not in known:
            raise Problem(f"no {what} `{given}`; there are {', '.join(f'`{one}`' for one in known)}")
    path, count = folder / f"{policy}_{campaign}_train.parquet", CAMPAIGNS[campaign]
    people = [f"user_feature_{i}" for i in range(4)]
    affinities = [f"user-item_affinity_{item}" for item in range(count)]
    wanted = ["time_us", "item_id", "position", "click", "propensity_score", *people, *affinities]
    table = columns(path, wanted).sort_by("time_us")
    column = {name: table[name].to_numpy() for name in wanted}
    items, propensities = column["item_id"].astype(np.int64), column["propensity_score"]
    if items.min() < 0 or items.max() >= count:
        raise Problem(f"{path}: an item is outside 0 … {count - 1}")
    if not ((propensities > 0) & (propensities <= 1)).all():
        raise Problem(f"{path}: a propensity is outside 0 (exclusive) … 1")
    if not np.isin(column["click"], (0, 1)).all():
        raise Problem(f"{path}: a click is neither 0 nor 1")
    described = folder / f"{campaign}_item_context.parquet"
    categories = [f"item_feature_{i}" for i in (1, 2, 3)]
    context = columns(described, ["item_id", "item_feature_0", *categories]).sort_by("item_id")
    if context["item_id"].to_pylist() != list(range(count)):
        raise Problem(f"{described}: items are not numbered 0 … {count - 1}")
    return Log(
        policy,
        campaign,
        column["time_us"] / 1e6,
        items,
        column["position"].astype(np.int64),
        column["click"] == 1,
        propensities,
        np.stack([column[name].astype(str) for name in people], 1),
        np.stack([column[name] for name in affinities], 1),
        context["item_feature_0"].to_numpy(),
        np.stack([context[name].to_numpy().astype(str) for name in categories], 1),
    )
