"""The kernel algebra on torch layers: layers in, new layers out.

Nothing here changes its arguments. New layers are computed in float64, take dtype and device
from the layer that they replace, and require gradients if any of their sources did. The same
algebra on the parameters themselves (:func:`live` in place of :func:`exact`) gives convolutions
through which gradients reach every source.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm.reparam import kernels
from repnext_mm.reparam.ranges import check_range

Layer = TypeVar('Layer', bound=nn.Module)

Read = Callable[[Tensor], Tensor]
"""Takes a parameter or buffer of a layer into the algebra: :func:`exact` or :func:`live`."""

Convolution = Callable[[Tensor], Tensor]
"""A layer, or a :class:`MergedConv` in its place."""

INHERITED = ('stride', 'padding', 'dilation', 'groups')
"""The geometry that a merged convolution takes from the layer that it is like."""


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


def exact(tensor: Tensor) -> Tensor:
    """A detached float64 copy, on the CPU where the device has no float64 (Apple's MPS)."""
    device = 'cpu' if tensor.device.type == 'mps' else tensor.device
    return tensor.detach().to(device, torch.float64, copy=True)


def live(tensor: Tensor) -> Tensor:
    """The tensor itself, in float32 where it is less precise; gradients reach it."""
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def conv_weights(conv: nn.Conv2d, read: Read = exact) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution; a missing bias is zeros."""
    weight = read(conv.weight)
    return weight, weight.new_zeros(conv.out_channels) if conv.bias is None else read(conv.bias)


def norm_affine(norm: nn.Module, read: Read = exact) -> tuple[Tensor, Tensor]:
    """``(scale, shift)`` of a batch norm, each ``(C,)``.

    Args:
        norm: Any batch norm: ``BatchNorm2d``, ``SyncBatchNorm``, mmengine's
            ``_BatchNormXd``.
        read: Takes its parameters and statistics into the algebra.

    Raises:
        TypeError: If it is no batch norm, or keeps no running statistics; then it
            is no fixed affine map and cannot be folded.
    """
    if not isinstance(norm, _BatchNorm) or norm.running_mean is None or norm.running_var is None:
        raise TypeError(
            f'only a batch norm with running statistics can be folded, got {norm}; build the '
            "network with norm_layer=torch.nn.BatchNorm2d, or in a config norm_cfg=dict(type='BN')"
        )
    weight, bias = (None if p is None else read(p) for p in (norm.weight, norm.bias))
    return kernels.batch_norm_affine(
        read(norm.running_mean), read(norm.running_var), norm.eps, weight, bias
    )


@dataclass(eq=False)
class MergedConv:
    """One convolution that equals several layers, and is not yet a layer itself.

    It can become one (:meth:`build`), and it can be called as it is, for training through it.
    """

    weight: Tensor
    """``(C_out, C_in / groups, kH, kW)``."""

    bias: Tensor
    """``(C_out,)``."""

    like: nn.Conv2d
    """Gives dtype, device and, unless overridden, the geometry."""

    sources: tuple[nn.Module, ...] = ()
    """The modules that were merged besides ``like``."""

    geometry: Mapping[str, Any] = field(default_factory=dict)
    """``groups``, ``stride``, ``padding``, ``dilation`` that differ from ``like``."""

    def __call__(self, x: Tensor) -> Tensor:
        """Convolves ``(N, C, H, W)``; gradients reach whatever the weights were computed from."""
        geometry = {name: getattr(self.like, name) for name in INHERITED} | dict(self.geometry)
        dtype = self.like.weight.dtype
        return F.conv2d(x, self.weight.to(dtype), self.bias.to(dtype), **geometry)

    def normed(self, norm: nn.Module, read: Read = exact) -> 'MergedConv':
        """``norm(self(x))``."""
        weight, bias = kernels.fuse_conv_bn(self.weight, self.bias, *norm_affine(norm, read))
        return MergedConv(weight, bias, self.like, (*self.sources, norm), self.geometry)

    def build(self) -> nn.Conv2d:
        """A layer in evaluation mode of its own, which requires gradients if any source does."""
        return build_conv(self.weight, self.bias, self.like, self.sources, **self.geometry)


def build_conv(
    weight: Tensor,
    bias: Tensor,
    like: nn.Conv2d,
    sources: Iterable[nn.Module] = (),
    **geometry: Any,
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
    inherited = (*INHERITED, 'padding_mode')
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
    """``layer`` in evaluation mode, with these values in the dtype and on the device of ``like``.

    Raises:
        ValueError: If a value is too large for that dtype.
    """
    trainable = any(p.requires_grad for module in (like, *sources) for p in module.parameters())
    model: Any = like
    for name, value in (('weight', weight), ('bias', bias)):
        value = _cast(value, model.weight, f'the merged {name} of {like}').contiguous()
        setattr(layer, name, nn.Parameter(value, requires_grad=trainable))
    return layer.eval()


def _cast(value: Tensor, like: Tensor, name: str) -> Tensor:
    advice = 'merge the network in float32, and keep that where such weights are'
    check_range(value, like.dtype, name, advice)
    return value.to(like.device, like.dtype)


def norm_linear_weights(norm: nn.Module, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """``linear(norm(x))`` as one linear layer in float64: weight ``(C_out, C)`` and bias."""
    weight = exact(linear.weight)
    bias = weight.new_zeros(len(weight)) if linear.bias is None else exact(linear.bias)
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
        nn.Parameter(_cast(value, like, f'the affine map of {norm}'), requires_grad=trainable)
        for value in norm_affine(norm)
    )
    return ChannelAffine(weight, bias).eval()


def merge_conv_norm(conv: nn.Conv2d, norm: nn.Module, read: Read = exact) -> MergedConv:
    """``norm(conv(x))``."""
    return MergedConv(*conv_weights(conv, read), conv).normed(norm, read)


def fuse_conv_norm(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    """``norm(conv(x))`` as one convolution."""
    return merge_conv_norm(conv, norm).build()


def compose_convs(row: nn.Conv2d, column: nn.Conv2d, read: Read = exact) -> tuple[Tensor, Tensor]:
    """``column(row(x))``, depthwise ``1 x k`` and ``l x 1``, as one weight and bias.

    Raises:
        ValueError: If ``row`` has a bias: it would meet the zero padding of ``column``.
    """
    if row.bias is not None:
        raise ValueError(
            f'convolutions in series compose exactly only without a bias between them, got {row}'
        )
    weight, bias = conv_weights(column, read)
    return kernels.compose_row_column(read(row.weight), weight), bias


def merge_norm_conv(
    norm: nn.Module, conv: nn.Conv2d, after: nn.Module | None = None, read: Read = exact
) -> MergedConv:
    """``conv(norm(x))``, or ``after(conv(norm(x)))``.

    Raises:
        ValueError: If the convolution is grouped or zero-pads, where folding is
            not exact.
    """
    if conv.groups != 1 or any(conv.padding):
        raise ValueError(
            f'a batch norm folds exactly only into an ungrouped convolution without padding '
            f'behind it, got {conv}'
        )
    weight, bias = conv_weights(conv, read)
    affine = norm_affine(norm, read)
    if after is None:
        return MergedConv(*kernels.fuse_bn_conv(weight, bias, *affine), conv, (norm,))
    weight, bias = kernels.fuse_bn_conv_bn(weight, bias, affine, norm_affine(after, read))
    return MergedConv(weight, bias, conv, (norm, after))


def fuse_norm_conv(norm: nn.Module, conv: nn.Conv2d, after: nn.Module | None = None) -> nn.Conv2d:
    """``conv(norm(x))``, or ``after(conv(norm(x)))``, as one convolution.

    Raises:
        ValueError: As :func:`merge_norm_conv`.
    """
    return merge_norm_conv(norm, conv, after).build()
