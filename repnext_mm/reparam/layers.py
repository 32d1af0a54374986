"""The kernel algebra on torch layers: layers in, new layers out.

Nothing here changes its arguments. All arithmetic runs in float64; the result
takes dtype and device from the layer it replaces, and requires gradients if any
of its sources did.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm.reparam import kernels

Layer = TypeVar('Layer', bound=nn.Module)


class ChannelAffine(nn.Module):
    """``weight * x + bias`` per channel: what a batch norm is in evaluation mode.

    The result has the dtype of ``x``, also where the parameters are more precise.

    Args:
        weight: ``(C,)``.
        bias: ``(C,)``.
    """

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter):
        super().__init__()
        self.weight = weight
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C, ...)``, with any number of further axes, to the same shape."""
        shape = (1, -1) + (1,) * (x.dim() - 2)
        y = x * self.weight.view(shape) + self.bias.view(shape)
        return y if y.dtype == x.dtype else y.to(x.dtype)

    def extra_repr(self) -> str:
        """The number of channels."""
        return str(len(self.weight))


def _exact(tensor: Tensor) -> Tensor:
    """A detached float64 copy, on the CPU where the device has no float64 (Apple's MPS)."""
    device = 'cpu' if tensor.device.type == 'mps' else tensor.device
    return tensor.detach().to(device, torch.float64, copy=True)


def conv_weights(conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution in float64; a missing bias is zeros."""
    weight = _exact(conv.weight)
    return weight, weight.new_zeros(conv.out_channels) if conv.bias is None else _exact(conv.bias)


def norm_affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """``(scale, shift)`` of a batch norm in float64, each ``(C,)``.

    Args:
        norm: Any batch norm: ``BatchNorm2d``, ``SyncBatchNorm``, mmengine's
            ``_BatchNormXd``.

    Raises:
        TypeError: If it is no batch norm, or keeps no running statistics; then it
            is no fixed affine map and cannot be folded.
    """
    if not isinstance(norm, _BatchNorm) or norm.running_mean is None or norm.running_var is None:
        raise TypeError(
            f'only a batch norm with running statistics can be folded, got {norm}; build the '
            "network with norm_layer=torch.nn.BatchNorm2d, or in a config norm_cfg=dict(type='BN')"
        )
    weight, bias = (None if p is None else _exact(p) for p in (norm.weight, norm.bias))
    return kernels.batch_norm_affine(
        _exact(norm.running_mean), _exact(norm.running_var), norm.eps, weight, bias
    )


def build_conv(
    weight: Tensor,
    bias: Tensor,
    like: nn.Conv2d,
    sources: Iterable[nn.Module] = (),
    **geometry,
) -> nn.Conv2d:
    """A convolution in evaluation mode with the given float64 weights.

    Args:
        weight: ``(C_out, C_in / groups, kH, kW)``.
        bias: ``(C_out,)``.
        like: Gives dtype, device and, unless overridden, the geometry.
        sources: What was merged besides ``like``: the result requires gradients
            if any parameter of ``like`` or of these does.
        geometry: ``groups``, ``stride``, ``padding``, ``dilation`` that differ from ``like``.
    """
    inherited = ('groups', 'stride', 'padding', 'dilation', 'padding_mode')
    geometry = {name: getattr(like, name) for name in inherited} | geometry
    out_channels, in_channels, height, width = weight.shape
    conv = nn.Conv2d(
        in_channels * geometry['groups'],
        out_channels,
        (height, width),
        device='meta',  # neither memory nor random numbers for values that are replaced below
        **geometry,
    )
    return _with_weights(conv, weight, bias, like, sources)


def _with_weights(
    layer: Layer, weight: Tensor, bias: Tensor, like: nn.Module, sources: Iterable[nn.Module]
) -> Layer:
    """``layer`` in evaluation mode, with these values in the dtype and on the device of ``like``."""
    trainable = any(p.requires_grad for module in (like, *sources) for p in module.parameters())
    model: Any = like
    for name, value in (('weight', weight), ('bias', bias)):
        value = value.to(model.weight.device, model.weight.dtype).contiguous()
        setattr(layer, name, nn.Parameter(value, requires_grad=trainable))
    return layer.eval()


def norm_linear_weights(norm: nn.Module, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """``linear(norm(x))`` as one linear layer in float64: weight ``(C_out, C)`` and bias."""
    weight = _exact(linear.weight)
    bias = weight.new_zeros(len(weight)) if linear.bias is None else _exact(linear.bias)
    weight, bias = kernels.fuse_bn_conv(weight[..., None, None], bias, *norm_affine(norm))
    return weight[..., 0, 0], bias


def build_linear(
    weight: Tensor, bias: Tensor, like: nn.Linear, sources: Iterable[nn.Module] = ()
) -> nn.Linear:
    """The counterpart of :func:`build_conv` for linear layers; ``weight`` is ``(C_out, C)``."""
    linear = nn.Linear(weight.shape[1], weight.shape[0], device='meta')
    return _with_weights(linear, weight, bias, like, sources)


def build_affine(norm: _BatchNorm) -> ChannelAffine:
    """A batch norm with running statistics as the layer that it is in evaluation mode.

    Raises:
        TypeError: As :func:`norm_affine`.
    """
    like = norm.running_mean if norm.weight is None else norm.weight
    trainable = any(parameter.requires_grad for parameter in norm.parameters())
    weight, bias = (
        nn.Parameter(value.to(like.device, like.dtype), requires_grad=trainable)
        for value in norm_affine(norm)
    )
    return ChannelAffine(weight, bias).eval()


def fuse_conv_norm(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    """``norm(conv(x))`` as one convolution."""
    weight, bias = kernels.fuse_conv_bn(*conv_weights(conv), *norm_affine(norm))
    return build_conv(weight, bias, like=conv, sources=[norm])


def compose_row_column(row: nn.Conv2d, column: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """``column(row(x))``, depthwise ``1 x k`` and ``l x 1``, as one weight and bias in float64.

    Raises:
        ValueError: If ``row`` has a bias: it would meet the zero padding of ``column``.
    """
    if row.bias is not None:
        raise ValueError(
            f'convolutions in series compose exactly only without a bias between them, got {row}'
        )
    weight, bias = conv_weights(column)
    return kernels.compose_row_column(conv_weights(row)[0], weight), bias


def fuse_norm_conv(norm: nn.Module, conv: nn.Conv2d, after: nn.Module | None = None) -> nn.Conv2d:
    """``conv(norm(x))``, or ``after(conv(norm(x)))``, as one convolution.

    Raises:
        ValueError: If the convolution is grouped or zero-pads, where folding is
            not exact.
    """
    if conv.groups != 1 or any(conv.padding):
        raise ValueError(
            f'a batch norm folds exactly only into an ungrouped convolution without padding '
            f'behind it, got {conv}'
        )
    weight, bias = kernels.fuse_bn_conv(*conv_weights(conv), *norm_affine(norm))
    if after is None:
        return build_conv(weight, bias, like=conv, sources=[norm])
    weight, bias = kernels.fuse_conv_bn(weight, bias, *norm_affine(after))
    return build_conv(weight, bias, like=conv, sources=[norm, after])
