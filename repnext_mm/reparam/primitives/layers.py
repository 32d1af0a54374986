"""Convolution and activation, convolution, addition and activation, and layers in a row."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from repnext_mm.reparam.primitives.activations import activated, activation_kind
from repnext_mm.reparam.primitives.selection import is_unobserved, run_primitive


def conv_act(x: Tensor, conv: Callable[[Tensor], Tensor], act: nn.Module | None = None) -> Tensor:
    """``act(conv(x))``, as one primitive where that is possible.

    Args:
        x: ``(N, C, H, W)``.
        conv: A convolution; a primitive computes those that are ``nn.Conv2d`` and nothing else.
        act: The activation, of which a primitive computes ReLU and, on CPU, the exact GELU; None
            for none.
    """
    if (
        torch.compiler.is_compiling()
        or type(conv) is not nn.Conv2d
        or (kind := activation_kind(act)) is None
        or not is_unobserved(conv, x)
    ):
        y = conv(x)
        return y if act is None else act(y)
    result = run_primitive(x, conv, kind)
    return activated(conv(x), act) if result is None else result


def conv_add(
    x: Tensor,
    conv: nn.Module,
    other: Tensor,
    act: nn.Module | None = None,
    overwrite: bool = False,
) -> Tensor:
    """``act(other + conv(x))``, as one primitive where that is possible.

    Args:
        x: ``(N, C, H, W)``.
        conv: As for :func:`conv_act`.
        other: What is added to the convolution's output.
        act: The activation, of which a primitive computes ReLU; None for none.
        overwrite: Whether the result may take the memory of ``other``, which nobody reads later: a
            primitive then need not copy it.
    """
    if (
        torch.compiler.is_compiling()
        or type(conv) is not nn.Conv2d
        or (kind := activation_kind(act)) is None
        or not is_unobserved(conv, x, other)
    ):
        y = other + conv(x)
        return y if act is None else act(y)
    result = run_primitive(x, conv, kind, other, overwrite)
    if result is not None:
        return result
    y = conv(x)
    alike = y.shape == other.shape and y.dtype == other.dtype and y.device == other.device
    return activated(y.add_(other) if alike else other + y, act)


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
