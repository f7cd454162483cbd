"""The full softmax: every item competes for every next event.

With o the state before an event, E the scored rows, b their bias and i the item chosen:

    loss = −w · log softmax(E·o + b)[i],  weighted mean over the events

Items in `cold` take no part, nor do those left out of a row. A few rows are worked on at a time and their gradients formed
at once, so that the logits stay in the processor's cache and are never kept: memory does not grow with events times items.
"""

import torch
from torch import Tensor

LOGITS = 1 << 21
"""So many logits are worked on at a time."""


class FullSoftmax(torch.autograd.Function):
    """`states` [n, e], `rows` [N, e], `bias` [N], `targets` and `weights` [n], `left_out` i64 [n, m] or None → the loss.

    A row's target may stand among the items left out of it: it takes part all the same.
    """

    @staticmethod
    def forward(ctx, states, rows, bias, targets, weights, left_out):
        weights = weights / weights.sum()
        states_grad, rows_grad = torch.empty_like(states), torch.zeros_like(rows)
        bias_grad, loss = torch.zeros_like(bias), states.new_zeros(())
        step = max(LOGITS // len(rows), 16)
        for start in range(0, len(states), step):
            part = slice(start, start + step)
            chosen, weight = targets[part, None], weights[part, None]
            logits = torch.addmm(bias, states[part], rows.T)
            target_logits = logits.gather(1, chosen)
            if left_out is not None:
                logits.scatter_(1, left_out[part], -torch.inf).scatter_(1, chosen, target_logits)
            highest = logits.amax(1, keepdim=True)
            total = logits.sub_(highest).exp_().sum(1, keepdim=True)
            loss += (weight * (highest + total.log() - target_logits)).sum()
            gradient = logits.mul_(weight / total).scatter_add_(1, chosen, -weight)
            states_grad[part] = gradient @ rows
            if ctx.needs_input_grad[1]:
                rows_grad.addmm_(gradient.T, states[part])
            bias_grad += gradient.sum(0)
        ctx.save_for_backward(states_grad, rows_grad, bias_grad)
        return loss

    @staticmethod
    def backward(ctx, gradient):
        return *(gradient * saved for saved in ctx.saved_tensors), None, None, None


def full_softmax(states: Tensor, rows: Tensor, bias: Tensor | None, targets, weights, cold, left_out=None) -> Tensor:
    """The weighted mean loss; gradients reach `states`, `rows` and `bias`."""
    bias = (rows.new_zeros(len(rows)) if bias is None else bias).masked_fill(cold, -torch.inf)
    return FullSoftmax.apply(states, rows, bias, targets, weights, left_out)
