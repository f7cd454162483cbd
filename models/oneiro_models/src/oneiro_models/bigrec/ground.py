"""From what was written to items: distances between points, and what they are weighed by.

    D_i = ‖q − V_i‖₂,  of several points the least        D̂_i = (D_i − min D) / (max D − min D)
    D̃_i = D̂_i · (1 + s_i)^(−γ)                            s_i: weights, min-max likewise; no weight counts as the least
"""

import numpy as np
import torch
from transformers import LlamaForCausalLM

from ..llara.tokenizer import BEGIN, PAD

TOGETHER = 64


@torch.inference_mode()
def points(model: LlamaForCausalLM, texts: list[list[int]]) -> np.ndarray:
    """What the model, untuned, makes of texts of tokens: the state after the last, behind the final norm; f32 [n, D]."""
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    found = np.zeros((len(texts), model.config.hidden_size), np.float32)
    for start in range(0, len(order), TOGETHER):
        part = order[start : start + TOGETHER]
        longest = 1 + max(len(texts[number]) for number in part)
        # What follows a text is never looked at: attention is causal, so padding on the right needs no mask.
        tokens = torch.tensor([[BEGIN, *texts[number]] + [PAD] * (longest - 1 - len(texts[number])) for number in part])
        states = model.model(tokens, use_cache=False).last_hidden_state
        last = torch.tensor([len(texts[number]) for number in part])
        found[part] = states[torch.arange(len(part)), last].numpy()
    return found


def distances(table: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Of points [P, D] to the rows [N, D]: the least over the points, f32 [N]."""
    return np.sqrt(((table[None] - near[:, None]) ** 2).sum(2)).min(0)


def weighed(away: np.ndarray, weights: np.ndarray, gamma: float) -> np.ndarray:
    """D̃ of distances [B, N] and weights [B, N] or [N]."""
    known = np.where(np.isfinite(weights), weights, np.nan)
    share = np.nan_to_num(part(known), nan=0.0)
    return part(away) * (1 + share) ** -gamma


def part(numbers: np.ndarray) -> np.ndarray:
    """Where between the least and the greatest of its row a number is; 0 where they are one."""
    least, greatest = np.nanmin(numbers, -1, keepdims=True), np.nanmax(numbers, -1, keepdims=True)
    width = np.where(greatest > least, greatest - least, 1.0)
    return (numbers - least) / width
