"""What the tests of mmcv's operators share."""

from collections.abc import Callable, Sequence

import pytest
import torch
from helpers import assert_close
from torch import Tensor

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
DEVICES = ['cpu', pytest.param('cuda', marks=[pytest.mark.gpu, NO_GPU])]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Normally distributed numbers in double precision."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_same_with_gradients(
    operator: Callable[..., Tensor],
    reference: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    device: str,
) -> None:
    """Asserts that outputs and the gradients of all inputs are those of the reference."""
    theirs = [tensor.clone().requires_grad_() for tensor in inputs]
    ours = [tensor.clone().to(device).requires_grad_() for tensor in inputs]
    expected, actual = reference(*theirs), operator(*ours)
    assert expected.abs().max() > 0
    assert_close(actual.cpu(), expected)
    weights = drawn(*expected.shape, seed=9)
    (expected * weights).sum().backward()
    (actual * weights.to(device)).sum().backward()
    assert_close([tensor.grad.cpu() for tensor in ours], [tensor.grad for tensor in theirs])
    assert all(tensor.grad.abs().max() > 0 for tensor in theirs)
