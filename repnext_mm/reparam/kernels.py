"""Kernel algebra: tensors in, tensors out.

Every function is exact in real arithmetic and works in whatever dtype it is
given; callers pass float64 and cast back once, at the end. Shapes follow
``torch.nn.functional.conv2d``: weights are ``(C_out, C_in / groups, kH, kW)``,
biases ``(C_out,)``.

Source of the identities: RepVGG (arXiv 2101.03697, section 3.3) for folding
batch norm and merging parallel branches, RepLKNet (arXiv 2203.06717,
section 3.1) for embedding small kernels in a large one, UniRepLKNet
(arXiv 2311.15599, section 3.1) for turning a dilated kernel into a plain one,
RepNeXt-M (arXiv 2406.16004) for composing serial branches.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def batch_norm_affine(
    mean: Tensor, variance: Tensor, eps: float, weight: Tensor | None, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Writes batch norm in evaluation mode as ``scale * x + shift``.

    ``scale = weight / sqrt(variance + eps)``, ``shift = bias - scale * mean``.

    Args:
        mean: Running mean, ``(C,)``.
        variance: Running variance, ``(C,)``.
        eps: The layer's epsilon.
        weight: Learned scale ``(C,)``, or None for 1.
        bias: Learned shift ``(C,)``, or None for 0.

    Returns:
        ``(scale, shift)``, both ``(C,)``.
    """
    scale = (variance + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    shift = -scale * mean
    return scale, shift if bias is None else shift + bias


def fuse_conv_bn(
    weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor]:
    """Folds a batch norm into the convolution *before* it.

    ``W' = scale * W``, ``b' = scale * b + shift``.
    """
    return weight * scale.view(-1, 1, 1, 1), bias * scale + shift


def fuse_bn_conv(
    weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor]:
    """Folds a batch norm into the ungrouped convolution *after* it.

    ``W' = W * scale`` over input channels, ``b' = b + sum_{i,u,v} W[:, i, u, v] * shift[i]``.
    Exact only without zero padding: padded pixels never saw the batch norm, so
    their share of the bias would be wrong at the border.
    """
    shifts = shift.view(-1, 1, 1).expand(weight.shape[1:]).flatten()
    return weight * scale.view(1, -1, 1, 1), bias + weight.flatten(1) @ shifts


def fuse_bn_conv_bn(
    weight: Tensor, bias: Tensor, before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Folds the batch norms on both sides of an ungrouped convolution into it.

    ``W' = scale_after * W * scale_before``,
    ``b' = scale_after * (b + sum W * shift_before) + shift_after``: :func:`fuse_bn_conv`, then
    :func:`fuse_conv_bn`, with a backward pass of half the memory traffic.

    Args:
        weight: ``(C_out, C_in, kH, kW)``.
        bias: ``(C_out,)``.
        before: ``(scale, shift)`` of the batch norm before the convolution, each ``(C_in,)``.
        after: Those of the one after it, each ``(C_out,)``.
    """
    if torch.compiler.is_compiling():  # compilers derive such a backward pass themselves
        return fuse_conv_bn(*fuse_bn_conv(weight, bias, *before), *after)
    columns = (affine.view(-1, 1, 1).expand(weight.shape[1:]).flatten() for affine in before)
    matrix, bias = _AffineLinearAffine.apply(weight.flatten(1), bias, *columns, *after)
    return matrix.view(weight.shape), bias


class _AffineLinearAffine(torch.autograd.Function):
    """``r * (W (c * x + d) + b) + s`` as one matrix ``r W c`` and bias ``r (W d + b) + s``."""

    @staticmethod
    def forward(w: Tensor, b: Tensor, c: Tensor, d: Tensor, r: Tensor, s: Tensor):
        return (w * c).mul_(r[:, None]), (b + w @ d) * r + s

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs[:5])

    @staticmethod
    def backward(ctx, grad_matrix: Tensor, grad_bias: Tensor):
        w, b, c, d, r = ctx.saved_tensors
        product = grad_matrix * w
        grad_b = grad_bias * r
        grad_w = (grad_matrix * c).addr_(grad_bias, d).mul_(r[:, None])
        grad_r = product @ c + grad_bias * (b + w @ d)
        return grad_w, grad_b, r @ product, grad_b @ w, grad_r, grad_bias


def dilated_to_dense(weight: Tensor, dilation: int) -> Tensor:
    """Spells a dilated kernel out as a plain one, with zeros between the taps.

    A ``k x k`` kernel with dilation ``d`` becomes ``(d (k - 1) + 1)`` squared:
    ``W'[:, :, d u, d v] = W[:, :, u, v]``.
    """
    height, width = (dilation * (size - 1) + 1 for size in weight.shape[2:])
    spread = weight.new_zeros(*weight.shape[:2], height, width)
    spread[:, :, ::dilation, ::dilation] = weight
    return spread


def pad_kernel(weight: Tensor, size: int) -> Tensor:
    """Centres an odd kernel in a ``size x size`` frame of zeros.

    With "same" padding on both sides the two convolutions are equal.

    Raises:
        ValueError: If the kernel does not fit, or cannot be centred.
    """
    height, width = weight.shape[2:]
    if height > size or width > size or (size - height) % 2 or (size - width) % 2:
        raise ValueError(
            f'a {height}x{width} kernel cannot be centred in {size}x{size}: use a frame of the '
            'same parity that is at least as large'
        )
    vertical, horizontal = (size - height) // 2, (size - width) // 2
    return F.pad(weight, (horizontal, horizontal, vertical, vertical))


def identity_depthwise(channels: int, size: int, like: Tensor) -> Tensor:
    """The depthwise kernel that copies its input, ``(C, 1, size, size)``: a centred delta."""
    return pad_kernel(like.new_ones(channels, 1, 1, 1), size)


def identity_pointwise(channels: int, like: Tensor) -> Tensor:
    """The 1x1 kernel that copies its input, ``(C, C, 1, 1)``."""
    return torch.eye(channels, dtype=like.dtype, device=like.device).view(channels, channels, 1, 1)


def compose_row_column(row: Tensor, column: Tensor) -> Tensor:
    """Makes one depthwise kernel of a ``1 x k`` and then a ``l x 1`` convolution.

    ``W[c, i, j] = column[c, i] * row[c, j]``. Exact with zero padding and any stride as
    long as there is no bias between the two: padding then stays zero.

    Args:
        row: First kernel, ``(C, 1, 1, k)``.
        column: Second kernel, ``(C, 1, l, 1)``.

    Returns:
        ``(C, 1, l, k)``.
    """
    return column * row


def merge_parallel(branches: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Adds convolutions that read the same input: ``W' = sum W_i``, ``b' = sum b_i``.

    Args:
        branches: ``(weight, bias)`` pairs of one shape; see :func:`pad_kernel`.
    """
    weights, biases = zip(*branches, strict=True)
    return torch.stack(weights).sum(0), torch.stack(biases).sum(0)


def merge_mean(branches: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Averages layers that read the same input: ``W' = mean W_i``, ``b' = mean b_i``."""
    weight, bias = merge_parallel(branches)
    return weight / len(branches), bias / len(branches)


def carry_input_depthwise(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Makes a depthwise convolution emit its input beside its output.

    ``(C, 1, k, k)`` becomes ``(2C, 1, k, k)`` with ``groups = C``: channel ``2c``
    is ``(W * x + b)_c``, channel ``2c + 1`` is ``x_c``.
    """
    channels, _, size, _ = weight.shape
    identity = identity_depthwise(channels, size, like=weight)
    return (
        torch.stack((weight, identity), dim=1).flatten(0, 1),
        torch.stack((bias, torch.zeros_like(bias)), dim=1).flatten(),
    )


def carry_input_expand(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Widens a 1x1 kernel so that the interleaved input of its block passes by it.

    ``(H, C, 1, 1)``, reading :func:`carry_input_depthwise`, becomes
    ``(H + C, 2C, 1, 1)``: ``[[W on even columns], [I on odd columns]]``.
    """
    channels = weight.shape[1]
    own = torch.stack((weight, torch.zeros_like(weight)), dim=2).flatten(1, 2)
    identity = identity_pointwise(channels, like=weight)
    carried = torch.stack((torch.zeros_like(identity), identity), dim=2).flatten(1, 2)
    return torch.cat((own, carried)), torch.cat((bias, bias.new_zeros(channels)))


def carry_input_project(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Adds the carried input back: ``(C, H, 1, 1)`` becomes ``[W | I]``, ``(C, H + C, 1, 1)``."""
    return torch.cat((weight, identity_pointwise(weight.shape[0], like=weight)), dim=1), bias
