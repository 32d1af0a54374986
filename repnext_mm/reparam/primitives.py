"""Convolutions that know what follows them: convolution, addition and activation in one primitive.

torch computes a convolution, an addition and a ReLU one after the other, and each reads and writes
the whole feature map. oneDNN, torch's library for convolutions on CPU, computes them in one pass
over channels-last tensors. The operators that offer this are private to torch. So they are used
only where nobody can tell the difference: in inference on CPU, in float32, after they were seen to
agree with torch's own layers on small cases. Everywhere else (autograd, tracing, export,
``torch.compile``, hooks on a layer, other dtypes and devices) the layers run as they are.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as torch_modules

from repnext_mm.reparam.onednn import GELU, NONE, RELU, run_primitive

ENVIRONMENT = 'REPNEXT_MM_PRIMITIVES'
"""The environment variable that, set to ``0`` before the import, turns the primitives off."""

_state = dict(enabled=os.environ.get(ENVIRONMENT, '1') != '0')


def set_primitives(enabled: bool) -> None:
    """Turns the primitives of this process on or off; without them the layers run as they are."""
    _state['enabled'] = enabled


@contextmanager
def primitives(enabled: bool) -> Iterator[None]:
    """Within it the primitives of this process are on or off."""
    before = _state['enabled']
    set_primitives(enabled)
    try:
        yield
    finally:
        set_primitives(before)


def conv_act(x: Tensor, conv: Callable[[Tensor], Tensor], act: nn.Module | None = None) -> Tensor:
    """``act(conv(x))``, as one primitive where that is possible.

    Args:
        x: ``(N, C, H, W)``.
        conv: A convolution; a primitive computes those that are ``nn.Conv2d`` and nothing else.
        act: The activation, of which a primitive computes ReLU and the exact GELU; None for none.
    """
    if (
        torch.compiler.is_compiling()
        or type(conv) is not nn.Conv2d
        or (kind := activation_kind(act)) is None
        or not _is_unobserved(conv, x)
    ):
        y = conv(x)
        return y if act is None else act(y)
    result = run_primitive(x, conv, kind) if _has_primitive(x) else None
    return _activated(conv(x), act) if result is None else result


def conv_add(x: Tensor, conv: nn.Module, other: Tensor, act: nn.Module | None = None) -> Tensor:
    """``act(other + conv(x))``, as one primitive where that is possible.

    Args:
        x: ``(N, C, H, W)``.
        conv: As for :func:`conv_act`.
        other: What is added to the convolution's output.
        act: The activation, of which a primitive computes ReLU; None for none.
    """
    if (
        torch.compiler.is_compiling()
        or type(conv) is not nn.Conv2d
        or (kind := activation_kind(act)) is None
        or not _is_unobserved(conv, x, other)
    ):
        y = other + conv(x)
        return y if act is None else act(y)
    if kind != GELU and _has_primitive(x):
        result = run_primitive(x, conv, kind, other)
        if result is not None:
            return result
    y = conv(x)
    alike = y.shape == other.shape and y.dtype == other.dtype and y.device == other.device
    return _activated(y.add_(other) if alike else other + y, act)


class ConvSequential(nn.Sequential):
    """Layers in a row, of which each convolution runs together with the activation behind it."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C, H, W)`` to what the last layer puts out."""
        layers = list(self._modules.values())
        index = 0
        while index < len(layers):
            layer, act = layers[index], layers[index + 1] if index + 1 < len(layers) else None
            if not isinstance(layer, nn.Conv2d):
                x = layer(x)
            elif act is not None and activation_kind(act):
                x = conv_act(x, layer, act)
                index += 1
            else:
                x = conv_act(x, layer)
            index += 1
        return x


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


def _activated(y: Tensor, act: nn.Module | None) -> Tensor:
    """The activation of what nobody else has; ReLU in place."""
    if act is None:
        return y
    return y.relu_() if type(act) is nn.ReLU else act(y)


def _is_unobserved(conv: nn.Module, x: Tensor, other: Tensor | None = None) -> bool:
    """Whether nobody could see what the convolution puts out before the next layer changes it."""
    if (
        not _state['enabled']
        or type(x) is not Tensor
        or not (other is None or type(other) is Tensor)
    ):
        return False
    if torch.is_grad_enabled():
        tensors = (x, other, *conv._parameters.values())
        if any(tensor is not None and tensor.requires_grad for tensor in tensors):
            return False
    return not (
        conv._forward_hooks
        or conv._forward_pre_hooks
        or 'forward' in conv.__dict__
        or torch_modules._global_forward_hooks
        or torch_modules._global_forward_pre_hooks
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
        or torch._C._is_tracing()
    )


def _has_primitive(x: Tensor) -> bool:
    """Whether there are primitives for this dtype and device, and nothing forbids them."""
    return (
        x.dtype is torch.float32
        and x.is_cpu
        and x.layout is torch.strided
        and torch._C._get_mkldnn_enabled()
        and not torch.is_autocast_enabled('cpu')
    )
