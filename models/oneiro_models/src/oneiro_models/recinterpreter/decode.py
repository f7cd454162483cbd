"""Answers in titles of the catalog: lists, and the rank of one title among all."""

import torch
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM

from ..language_model import Tree
from ..llara.tokenizer import END

SMALL = 1e-4
"""By so little less a title still counts as likely as the target: rounding."""


class Titles:
    """The titles of a catalog as a tree of tokens, each with its end; `below`: how many titles go through each node."""

    def __init__(self, titles: list[list[int]]):
        tree = Tree.of([[*title, END] for title in titles])
        self.tokens, self.paths = tree.tokens, tree.paths
        self.children: list[list[int]] = [[] for _ in range(len(tree.tokens) + 1)]
        """Of the node before all others, which is the last here, and of each."""
        for node, parent in enumerate(tree.parents):
            self.children[parent].append(node)
        self.below = [0] * len(tree.tokens)
        self.ends: dict[int, list[int]] = {}
        for item, path in enumerate(tree.paths):
            self.ends.setdefault(path[-1], []).append(item)
            for node in path:
                self.below[node] += 1


@torch.inference_mode()
def listed(model: LlamaForCausalLM, rows: Tensor, titles: Titles, most: int) -> list[list[int]]:
    """For each of some prompts of one length [B, P, D]: items, title after title, token by token the likeliest that leads to one
    that is not there yet, until an end is likelier than that any begins.
    """
    past, count = DynamicCache(), len(rows)
    hidden = model.model(inputs_embeds=rows, cache=past, use_cache=True).last_hidden_state[:, -1]
    found: list[list[int]] = [[] for _ in range(count)]
    left = [list(titles.below) for _ in range(count)]
    nodes, going = [-1] * count, [True] * count
    while any(going):
        logits = model.lm_head(hidden).float()
        chosen = [END] * count
        for row in range(count):
            if not going[row]:
                continue
            follow = [node for node in titles.children[nodes[row]] if left[row][node] > 0]
            if nodes[row] < 0:
                first = [titles.tokens[node] for node in titles.children[-1]]
                if len(found[row]) == most or not follow or logits[row, END] >= logits[row, first].logsumexp(0):
                    going[row] = False
                    continue
            best = max(follow, key=lambda node: float(logits[row, titles.tokens[node]]))
            nodes[row], chosen[row] = best, titles.tokens[best]
            if best in titles.ends:
                found[row].append(titles.ends[best][0])
                nodes[row] = -1
                for item in titles.ends[best]:
                    for node in titles.paths[item]:
                        left[row][node] -= 1
        if any(going):
            step = model.model(input_ids=torch.tensor(chosen)[:, None], cache=past, use_cache=True)
            hidden = step.last_hidden_state[:, -1]
    return found


@torch.inference_mode()
def rank_of(model: LlamaForCausalLM, rows: Tensor, titles: Titles, target: int, together: int = 512) -> int:
    """The rank of an item's title by its log-probability after a prompt [P, D], among all titles, equal ones before it.

    Exact: sums only fall along a title, so one whose beginning is less likely than the target's whole title is behind it.
    """
    path = titles.paths[target]
    past = DynamicCache()
    hidden = model.model(inputs_embeds=rows[None], cache=past, use_cache=True).last_hidden_state[:, -1]
    after = model.lm_head(hidden).float().log_softmax(-1)[0]
    tokens = [titles.tokens[node] for node in path]
    inner = model.model(input_ids=torch.tensor([tokens[:-1]]), cache=past, use_cache=True).last_hidden_state[0]
    chances = torch.cat([after[None], model.lm_head(inner).float().log_softmax(-1)])
    least = float(chances.gather(1, torch.tensor(tokens)[:, None]).sum()) - SMALL
    own = titles.ends[path[-1]]
    ahead, frontier = len(own), [(node, float(after[titles.tokens[node]])) for node in titles.children[-1]]
    length = len(rows)
    paths = {node: [node] for node, _ in frontier}
    while frontier:
        frontier = [(node, chance) for node, chance in frontier if chance >= least]
        ahead += sum(len(titles.ends.get(node, [])) for node, _ in frontier if node != path[-1])
        inside = [(node, chance) for node, chance in frontier if titles.children[node]]
        frontier, longer = [], {}
        for start in range(0, len(inside), together):
            part = inside[start : start + together]
            shared = DynamicCache()
            for layer, (key, value) in enumerate(pairs(past, length)):
                shared.update(key.expand(len(part), -1, -1, -1), value.expand(len(part), -1, -1, -1), layer)
            words = torch.tensor([[titles.tokens[step] for step in paths[node]] for node, _ in part])
            states = model.model(input_ids=words, cache=shared, use_cache=True).last_hidden_state[:, -1]
            following = model.lm_head(states).float().log_softmax(-1)
            for row, (node, chance) in enumerate(part):
                for child in titles.children[node]:
                    frontier.append((child, chance + float(following[row, titles.tokens[child]])))
                    longer[child] = [*paths[node], child]
        paths = longer
    return ahead


def pairs(past: DynamicCache, length: int) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of what a cache holds of a prompt."""
    return [(layer.keys[:, :, :length], layer.values[:, :, :length]) for layer in past.layers]
