"""Convolutions that know what follows them: convolution, addition and activation in one primitive.

torch computes a convolution, an addition and a ReLU one after the other, and each reads and writes
the whole feature map. oneDNN, torch's library for convolutions on CPU, computes them in one pass
over channels-last tensors. The operators that offer this are private to torch. So they are used
only where nobody can tell the difference: in inference on CPU, in float32, after they were seen to
agree with torch's own layers on small cases. Everywhere else (autograd, tracing, export,
``torch.compile``, hooks on a layer, other dtypes and devices) the layers run as they are.
"""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as torch_modules

from repnext_mm.reparam.packing import packed_weight

ENVIRONMENT = 'REPNEXT_MM_PRIMITIVES'
"""The environment variable that, set to ``0`` before the import, turns the primitives off."""

TOLERANCE = 1e-5
"""Largest difference of a primitive from torch's own layers, relative to the largest output."""

NONE, RELU, GELU = '', 'relu', 'gelu'
"""The activations that a primitive computes, under oneDNN's names. Of GELU it is the exact one."""

UNARY = {NONE: ('none', [], ''), RELU: ('relu', [], ''), GELU: ('gelu', [], 'none')}
"""The operator's arguments for each of them: name, numbers, and kind of GELU."""

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


def conv_act(x: Tensor, conv: nn.Module, act: nn.Module | None = None) -> Tensor:
    """``act(conv(x))``, as one primitive where that is possible.

    Args:
        x: ``(N, C, H, W)``.
        conv: A convolution; a primitive computes those that are ``nn.Conv2d`` and nothing else.
        act: The activation, of which a primitive computes ReLU and the exact GELU; None for none.
    """
    kind = activation_kind(act)
    if kind is None or type(conv) is not nn.Conv2d or not _unobserved(conv, x):
        y = conv(x)
        return y if act is None else act(y)
    y = _run_primitive(x, conv, kind)
    return _activated(conv(x), act) if y is None else y


def conv_add(x: Tensor, conv: nn.Module, other: Tensor, act: nn.Module | None = None) -> Tensor:
    """``act(other + conv(x))``, as one primitive where that is possible.

    Args:
        x: ``(N, C, H, W)``.
        conv: As for :func:`conv_act`.
        other: What is added to the convolution's output.
        act: The activation, of which a primitive computes ReLU; None for none.
    """
    kind = activation_kind(act)
    if kind is None or type(conv) is not nn.Conv2d or not _unobserved(conv, x, other):
        y = other + conv(x)
        return y if act is None else act(y)
    y = None if kind == GELU else _run_primitive(x, conv, kind, other)
    if y is None:
        y = conv(x)
        alike = y.shape == other.shape and y.dtype == other.dtype and y.device == other.device
        y = _activated(y.add_(other) if alike else other + y, act)
    return y


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


def activation_kind(act: nn.Module | None) -> str | None:
    """Which of the activations a layer is; None if it is, or may do, something else."""
    if act is None:
        return NONE
    if act._forward_hooks or act._forward_pre_hooks or 'forward' in vars(act):
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


def _unobserved(conv: nn.Module, *inputs: Tensor) -> bool:
    """Whether nobody could see what the convolution puts out before the next layer changes it."""
    if torch.compiler.is_compiling() or not _state['enabled']:
        return False
    if torch.is_grad_enabled():
        tensors = (*inputs, *conv._parameters.values())
        if any(tensor is not None and tensor.requires_grad for tensor in tensors):
            return False
    return (
        all(type(tensor) is Tensor for tensor in inputs)
        and not conv._forward_hooks
        and not conv._forward_pre_hooks
        and 'forward' not in vars(conv)
        and not torch_modules._global_forward_hooks
        and not torch_modules._global_forward_pre_hooks
        and not torch._C._len_torch_dispatch_stack()
        and not torch._C._len_torch_function_stack()
        and torch._C._functorch.peek_interpreter_stack() is None
        and forward_ad._current_level < 0
        and not torch._C._is_tracing()
    )


def _run_primitive(
    x: Tensor, conv: nn.Conv2d, kind: str, other: Tensor | None = None
) -> Tensor | None:
    """The convolution, addition and activation by oneDNN; None where it does not compute them."""
    if not _takes(x, conv) or not onednn_agrees():
        return None
    if other is not None and not _is_like_output(other, x, conv):
        return None
    return _onednn(x, conv, packed_weight(conv, x.shape), kind, other)


def _onednn(
    x: Tensor, conv: nn.Conv2d, weight: Tensor, kind: str, other: Tensor | None = None
) -> Tensor:
    """Calls oneDNN's primitive on channels-last tensors."""
    x = x.contiguous(memory_format=torch.channels_last)
    bias = conv._parameters['bias']
    geometry = conv.padding, conv.stride, conv.dilation, conv.groups
    operator = torch.ops.mkldnn._convolution_pointwise
    if other is None:
        return operator.default(x, weight, bias, *geometry, *UNARY[kind])
    other = other.contiguous(memory_format=torch.channels_last)
    activation = (kind or None, [], None)
    return operator.binary(x, other, weight, bias, *geometry, 'add', 1.0, *activation)


def _takes(x: Tensor, conv: nn.Conv2d) -> bool:
    """Whether oneDNN's primitive is right for this input and these weights."""
    weight = conv._parameters['weight']
    return (
        type(weight) is nn.Parameter
        and x.dtype is weight.dtype is torch.float32
        and x.is_cpu
        and weight.is_cpu
        and x.layout is weight.layout is torch.strided
        and not weight.is_inference()
        and (weight.is_contiguous() or weight.is_contiguous(memory_format=torch.channels_last))
        and _has_output(x, conv)
        and torch._C._get_mkldnn_enabled()
        and not torch.is_autocast_enabled('cpu')
    )


def _has_output(x: Tensor, conv: nn.Conv2d) -> bool:
    """Whether the input has the channels that it should, and the kernel fits into it."""
    if x.dim() != 4 or x.shape[1] != conv.in_channels or conv.padding_mode != 'zeros':
        return False
    return type(conv.padding) is tuple and all(size > 0 for size in _output_shape(x, conv))


def _output_shape(x: Tensor, conv: nn.Conv2d) -> tuple[int, ...]:
    """``(N, C_out, H', W')``."""
    sides = zip(
        x.shape[2:], conv.kernel_size, conv.padding, conv.stride, conv.dilation, strict=True
    )
    return (
        x.shape[0],
        conv.out_channels,
        *(
            (size + 2 * int(padding) - dilation * (kernel - 1) - 1) // stride + 1
            for size, kernel, padding, stride, dilation in sides
        ),
    )


def _is_like_output(other: Tensor, x: Tensor, conv: nn.Conv2d) -> bool:
    """Whether a tensor has shape and kind of the convolution's output."""
    alike = other.is_cpu and other.dtype is x.dtype and other.layout is x.layout
    return alike and tuple(other.shape) == _output_shape(x, conv)


@functools.cache
def onednn_agrees() -> bool:
    """Whether torch has oneDNN's primitives and they compute what its own layers do."""
    try:
        with torch.inference_mode():
            return all(_agree(groups, size) for groups, size in ((1, 1), (4, 3)))
    except Exception:  # whatever another version of torch raises; the layers then run as they are
        return False


def _agree(groups: int, size: int) -> bool:
    """Whether all primitives agree with torch on a small convolution, packed and not."""
    conv = nn.Conv2d(4, 8, size, padding=size // 2, groups=groups, device='meta')
    for name, parameter in list(conv.named_parameters()):
        values = torch.linspace(-1, 1, parameter.numel()).view(parameter.shape)
        setattr(conv, name, nn.Parameter(values, requires_grad=False))
    x = torch.linspace(-2, 1, 2 * 4 * 5 * 6).view(2, 4, 5, 6)
    other = torch.linspace(3, -2, 2 * 8 * 5 * 6).view(2, 8, 5, 6)
    packed = torch.ops.mkldnn._reorder_convolution_weight(
        conv.weight, conv.padding, conv.stride, conv.dilation, conv.groups, list(x.shape)
    )
    y = torch.nn.functional.conv2d(x, conv.weight, conv.bias, 1, conv.padding, 1, groups)
    cases: list[tuple[str, Tensor | None, Tensor]] = [
        (NONE, None, y),
        (RELU, None, y.relu()),
        (GELU, None, torch.nn.functional.gelu(y)),
        (NONE, other, other + y),
        (RELU, other, (other + y).relu()),
    ]
    return all(
        (_onednn(x, conv, weight, kind, addend) - expected).abs().max()
        <= TOLERANCE * expected.abs().max()
        for weight in (conv.weight, packed)
        for kind, addend, expected in cases
    )
