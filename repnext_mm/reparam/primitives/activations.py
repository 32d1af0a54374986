"""The activations that primitives compute."""

from typing import Any

from torch import Tensor, nn

NONE, RELU, GELU = '', 'relu', 'gelu'
"""Under oneDNN's names. GELU is the exact one."""


def activation_kind(act: Any) -> str | None:
    """Which of the activations a layer is; None if it is, or may do, something else."""
    if act is None:
        return NONE
    if act._forward_hooks or act._forward_pre_hooks or 'forward' in act.__dict__:
        return None
    if type(act) is nn.ReLU:
        return RELU
    if type(act) is nn.GELU and act.approximate == 'none':
        return GELU
    return NONE if type(act) is nn.Identity else None


def activated(y: Tensor, act: nn.Module | None) -> Tensor:
    """The activation of what nobody else has; ReLU in place."""
    if act is None:
        return y
    return y.relu_() if type(act) is nn.ReLU else act(y)
