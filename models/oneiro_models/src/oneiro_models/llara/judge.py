"""Which title comes next: what a language model says of the candidates."""

import torch
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM

from .tokenizer import END, PAD


@torch.inference_mode()
def title_scores(model: LlamaForCausalLM, rows: Tensor, titles: list[list[int]], among_titles: bool = False) -> Tensor:
    """log p(title | rows) of every title, f32 [C]: Σ log p of its tokens, the last of them its end, over the whole vocabulary, or
    each over the tokens that go on with any of the titles. `rows` [P, D] are read once.
    """
    past = DynamicCache()
    read = model.model(inputs_embeds=rows[None], cache=past, use_cache=True).last_hidden_state[:, -1]
    past.batch_repeat_interleave(len(titles))
    longest = max(map(len, titles))
    tokens = torch.full((len(titles), longest), PAD)
    for row, title in enumerate(titles):
        tokens[row, : len(title)] = torch.tensor(title)
    # What follows a title is never looked at: attention is causal, so padding on the right needs no mask.
    hidden = read[:, None].expand(len(titles), -1, -1)
    if longest > 1:
        more = model.model(input_ids=tokens[:, :-1], cache=past, use_cache=True).last_hidden_state
        hidden = torch.cat([hidden, more], 1)
    real = torch.arange(longest) < torch.tensor([len(title) for title in titles])[:, None]
    logits = model.lm_head(hidden[real]).float()
    if among_titles:
        logits = logits + others_masked(titles, logits.shape[1])
    logits = logits.log_softmax(-1)
    scores = torch.zeros(real.shape)
    scores[real] = logits.gather(1, tokens[real][:, None])[:, 0]
    return scores.sum(1)


def others_masked(titles: list[list[int]], vocabulary: int) -> Tensor:
    """For every token of every title in turn: 0 where a title goes on that begins as it does, −∞ elsewhere; [tokens, V]."""
    following: dict[tuple[int, ...], set[int]] = {}
    for title in titles:
        for place, token in enumerate(title):
            following.setdefault(tuple(title[:place]), set()).add(token)
    beginnings = [tuple(title[:place]) for title in titles for place in range(len(title))]
    mask = torch.full((len(beginnings), vocabulary), -torch.inf)
    for row, beginning in zip(mask, beginnings):
        row[list(following[beginning])] = 0
    return mask


@torch.inference_mode()
def written(model: LlamaForCausalLM, rows: Tensor, most: int = 64) -> list[int]:
    """The likeliest tokens one by one, up to a title's end, which is left out."""
    past, found = DynamicCache(), []
    hidden = model.model(inputs_embeds=rows[None], cache=past, use_cache=True).last_hidden_state[:, -1]
    while len(found) < most:
        token = int(model.lm_head(hidden)[0].argmax())
        if token == END:
            break
        found.append(token)
        hidden = model.model(input_ids=torch.tensor([[token]]), cache=past, use_cache=True).last_hidden_state[:, -1]
    return found


def matches(answer: str, titles: list[str]) -> list[int]:
    """The candidates whose title is in the answer (LLaRA's rule: of its first line, lower case). It is valid if there is one."""
    said = answer.strip().split("\n")[0].strip().lower()
    return [number for number, title in enumerate(titles) if title.strip().lower() in said]


