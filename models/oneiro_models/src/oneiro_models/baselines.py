"""What a trained model has to beat. Each learns from training events and scores every item for a history."""

from functools import lru_cache

import numpy as np

from .data import Events

NEIGHBOURS_OF = 10
"""ItemKNN looks at so many of the latest items."""


class Popularity:
    """Events per item in training."""

    def __init__(self, train: Events, items: int):
        self.counts = train.counts(items)

    def __call__(self, histories: list[np.ndarray]) -> np.ndarray:
        return np.broadcast_to(self.counts, (len(histories), len(self.counts)))


class Markov:
    """How often an item followed the last one in training; ties by popularity."""

    def __init__(self, train: Events, items: int):
        self.popularity = train.counts(items)
        sequences = [train.items[events] for events in train.sequences()]
        before = np.concatenate([sequence[:-1] for sequence in sequences])
        after = np.concatenate([sequence[1:] for sequence in sequences])
        order = np.argsort(before, kind="stable")
        self.after, self.starts = after[order], np.searchsorted(before[order], np.arange(items + 1))

    def __call__(self, histories: list[np.ndarray]) -> np.ndarray:
        return np.stack([self.followers(int(history[-1])) for history in histories])

    def followers(self, item: int) -> np.ndarray:
        followed = np.bincount(self.after[self.starts[item] : self.starts[item + 1]], minlength=len(self.popularity))
        return followed * (self.popularity.max() + 1) + self.popularity


class ItemKNN:
    """Sum of the cosine similarities to the latest items, each once: users in common / √(users of one · users of the other).

    No item is a neighbour of itself, or people would only ever be sent back to what they had.
    """

    def __init__(self, train: Events, items: int):
        pairs = np.unique(np.stack([train.users, train.items], axis=1), axis=0)
        _, users = np.unique(pairs[:, 0], return_inverse=True)
        self.users = users.ravel()
        self.items = pairs[:, 1]
        self.user_starts = np.searchsorted(self.users, np.arange(self.users.max() + 2))
        self.by_item = np.argsort(self.items, kind="stable")
        self.item_starts = np.searchsorted(self.items[self.by_item], np.arange(items + 1))
        self.sizes = np.diff(self.item_starts)
        self.similarities = lru_cache(maxsize=4096)(self.similarities)

    def similarities(self, item: int) -> np.ndarray:
        """The cosine of `item` with every other item; 0 for itself and for items nobody chose."""
        users = self.users[self.by_item[self.item_starts[item] : self.item_starts[item + 1]]]
        chosen = [self.items[self.user_starts[user] : self.user_starts[user + 1]] for user in users]
        together = np.bincount(np.concatenate(chosen), minlength=len(self.sizes)) if chosen else np.zeros(len(self.sizes))
        cosines = together / np.sqrt(np.maximum(self.sizes * self.sizes[item], 1))
        cosines[item] = 0
        return cosines

    def __call__(self, histories: list[np.ndarray]) -> np.ndarray:
        return np.stack([sum(self.similarities(int(item)) for item in np.unique(history[-NEIGHBOURS_OF:])) for history in histories])


class RecencyMarkov(Markov):
    """The items of the history, the latest first, then as Markov: for people who come back to what they had."""

    def __call__(self, histories: list[np.ndarray]) -> np.ndarray:
        scores = super().__call__(histories)
        for row, history in zip(scores, histories):
            row[history] = 0
            row[history] = row.max() + 1 + np.arange(len(history))
        return scores


BASELINES = {"popularity": Popularity, "Markov": Markov, "ItemKNN": ItemKNN}


def baselines(seen: str) -> dict:
    """The methods that fit a protocol: where items of the history may come again, recency is one of them."""
    return BASELINES | ({"recency + Markov": RecencyMarkov} if seen == "allow" else {})
