"""The titles of a catalog as a tree of tokens."""

import numpy as np


def title_trie(titles: list[list[int]]) -> dict[str, np.ndarray]:
    """Node by node, level by level, those that follow on a node side by side and in the order of their tokens: its token
    (`tokens` U32 [nodes]), where those that follow on it begin (`children` U32 [nodes + 1]) and where its items do
    (`item_starts` U32 [nodes + 1]), which are those whose title ends there (`items` U32 [N]). Node 0 is what all begin with.
    """
    order = sorted(range(len(titles)), key=lambda item: titles[item])
    tokens, children, item_starts, items = [0], [1], [0], []
    level = [(0, len(order))]
    depth = 0
    while level:
        below = []
        for start, end in level:
            while start < end and len(titles[order[start]]) == depth:
                items.append(order[start])
                start += 1
            while start < end:
                token = titles[order[start]][depth]
                after = start
                while after < end and titles[order[after]][depth] == token:
                    after += 1
                tokens.append(token)
                below.append((start, after))
                start = after
            children.append(len(tokens))
            item_starts.append(len(items))
        level, depth = below, depth + 1
    named = {"tokens": tokens, "children": children, "item_starts": item_starts, "items": items}
    return {name: np.array(numbers, np.uint32) for name, numbers in named.items()}
