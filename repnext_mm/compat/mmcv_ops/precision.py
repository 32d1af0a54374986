"""The precision that kernels take, and gradients of what stands in for a kernel."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def at_least_single(*tensors: Tensor) -> list[Tensor]:
    """The tensors in one dtype that torchvision's kernels take: float64, or float32."""
    double = any(tensor.dtype == torch.float64 for tensor in tensors)
    return [tensor.to(torch.float64 if double else torch.float32) for tensor in tensors]


def gradients(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], grad_output: Tensor
) -> tuple[Tensor, ...]:
    """The gradients of a function that is written in torch, computed anew from its inputs.

    Args:
        function: Of tensors, to one tensor.
        inputs: Its arguments.
        grad_output: The gradient of its result.

    Returns:
        One gradient for each input; zeros where the result does not depend on it.
    """
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in inputs]
        output = function(*leaves)
        gradient = grad_output.to(output.dtype)
        found = torch.autograd.grad(
            output, leaves, gradient, allow_unused=True, materialize_grads=True
        )
    return tuple(found)
