"""The full softmax worked piece by piece against PyTorch's own, values and gradients."""

import pytest
import torch
from torch.nn import functional

from oneiro_models import loss


@pytest.mark.parametrize("step", [1 << 21, 7 * 16])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("excluding", [False, True])
def test_value_and_gradients(monkeypatch, step, biased, excluding):
    monkeypatch.setattr(loss, "LOGITS", step)
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(50, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    rows = torch.randn(7, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(7, generator=generator, dtype=torch.float64, requires_grad=True) if biased else None
    targets = torch.randint(0, 6, (50,), generator=generator)
    weights = torch.rand(50, generator=generator, dtype=torch.float64)
    cold = torch.tensor([False] * 6 + [True])
    had = torch.randint(0, 6, (50, 3), generator=generator) if excluding else None
    taking_part = [tensor for tensor in (states, rows, bias) if tensor is not None]

    found = loss.full_softmax(states, rows, bias, targets, weights, cold, had)
    found_gradients = torch.autograd.grad(3 * found, taking_part)

    logits = states @ rows.T + (bias if biased else 0)
    gone = cold.expand(50, 7).clone()
    if excluding:
        gone.scatter_(1, had, True)
        gone[torch.arange(50), targets] = False
    expected = functional.cross_entropy(logits.masked_fill(gone, -torch.inf), targets, reduction="none")
    expected = (expected * weights).sum() / weights.sum()
    expected_gradients = torch.autograd.grad(3 * expected, taking_part)

    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    for one, other in zip(found_gradients, expected_gradients):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-14)
