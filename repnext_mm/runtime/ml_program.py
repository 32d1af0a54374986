"""ML programs of Core ML, computed by torch: a reference where there is no Mac.

The names of operators and of their inputs are those of MIL, Core ML's intermediate language, as
coremltools documents them. Only operators that exported networks have are here; a program with
another one is refused.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

TYPES = {
    'fp16': torch.float16,
    'fp32': torch.float32,
    'int32': torch.int32,
    'bool': torch.bool,
}
"""Torch's types by MIL's names."""


def run_function(function: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """Runs a function of a program.

    Args:
        function: coremltools' ``Function``, with one input.
        images: Its input, as the program takes it.

    Returns:
        The outputs by name.
    """
    (name,) = function.inputs
    values: dict[str, Any] = {name: torch.from_numpy(images)}
    with torch.inference_mode():
        for operation in function.operations:
            if operation.op_type == 'const':
                continue
            inputs = {key: _value(var, values) for key, var in operation.inputs.items()}
            outputs = MIL_OPERATORS[operation.op_type](**inputs)
            outputs = outputs if isinstance(outputs, tuple | list) else [outputs]
            for var, output in zip(operation.outputs, outputs, strict=True):
                values[var.name] = output
    return {var.name: values[var.name].numpy() for var in function.outputs}


def check_operators(function: Any) -> None:
    """Makes sure that a function has only operators of :data:`MIL_OPERATORS`.

    Raises:
        ValueError: If not; the message names them.
    """
    kinds = {operation.op_type for operation in function.operations} - {'const', *MIL_OPERATORS}
    if kinds:
        raise ValueError(
            f'the program has {sorted(kinds)}, which the reference in torch does not know, so '
            'it can be run on a Mac only'
        )


def _value(var: Any, values: dict[str, Any]) -> Any:
    """A computed value, or a constant: arrays as tensors, single values as Python has them."""
    if isinstance(var, tuple | list):
        return [_value(item, values) for item in var]
    if var.name in values:
        return values[var.name]
    value = var.val
    return torch.from_numpy(value.copy()) if np.ndim(value) else np.asarray(value).item()


def _windows(
    x: Tensor, sides: Sequence[int], strides: Sequence[int], pad_type: str, pad: Any, steps: Any
) -> tuple[int, ...]:
    """Padding of a convolution or pooling as ``(left, right, top, bottom)``.

    Args:
        x: ``(N, C, H, W)``.
        sides: Height and width of the kernel.
        strides: Likewise.
        pad_type: ``'valid'``, ``'same'`` or ``'custom'``.
        pad: Before and behind each side, for ``'custom'``.
        steps: Dilations.
    """
    if pad_type == 'custom':
        top, bottom, left, right = _numbers(pad)
        return left, right, top, bottom
    if pad_type == 'valid':
        return 0, 0, 0, 0
    if pad_type != 'same':
        raise ValueError(f'padding of type {pad_type!r} is unknown to the reference in torch')
    before_and_behind: list[int] = []
    for size, side, stride, step in zip(x.shape[2:], sides, strides, steps, strict=True):
        covered = (math.ceil(size / stride) - 1) * stride + (side - 1) * step + 1
        total = max(covered - size, 0)
        before_and_behind = [total // 2, total - total // 2, *before_and_behind]
    return tuple(before_and_behind)


def _numbers(value: Any) -> list[int]:
    return [int(number) for number in value]


def _convolve(
    x: Tensor,
    weight: Tensor,
    strides: Tensor,
    pad_type: str,
    dilations: Tensor,
    groups: int,
    bias: Tensor | None = None,
    pad: Tensor | None = None,
) -> Tensor:
    steps, strides_ = _numbers(dilations), _numbers(strides)
    padding = _windows(x, weight.shape[2:], strides_, pad_type, pad, steps)
    return F.conv2d(F.pad(x, padding), weight, bias, strides_, 0, steps, groups)


def _pool_average(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor,
    pad_type: str,
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
    pad: Tensor | None = None,
) -> Tensor:
    sides, strides_ = _numbers(kernel_sizes), _numbers(strides)
    padding = _windows(x, sides, strides_, pad_type, pad, (1, 1))
    sums = F.avg_pool2d(F.pad(x, padding), sides, strides_, 0, ceil_mode)
    if not exclude_padding_from_average:
        return sums
    inside = F.pad(torch.ones_like(x[:1, :1]), padding)
    return sums / F.avg_pool2d(inside, sides, strides_, 0, ceil_mode)


def _pool_maximum(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor,
    pad_type: str,
    ceil_mode: bool = False,
    pad: Tensor | None = None,
) -> Tensor:
    sides, strides_ = _numbers(kernel_sizes), _numbers(strides)
    padding = _windows(x, sides, strides_, pad_type, pad, (1, 1))
    return F.max_pool2d(F.pad(x, padding, value=-math.inf), sides, strides_, 0, 1, ceil_mode)


def _enlarge(
    x: Tensor, scale_factor_height: float, scale_factor_width: float, align_corners: bool
) -> Tensor:
    height, width = x.shape[2:]
    size = [round(height * scale_factor_height), round(width * scale_factor_width)]
    return F.interpolate(x, size, mode='bilinear', align_corners=align_corners)


def _enlarge_nearest(x: Tensor, scale_factor_height: float, scale_factor_width: float) -> Tensor:
    height, width = x.shape[2:]
    size = [round(height * scale_factor_height), round(width * scale_factor_width)]
    return F.interpolate(x, size, mode='nearest')


def _activate_gelu(x: Tensor, mode: str = 'EXACT') -> Tensor:
    if mode == 'SIGMOID_APPROXIMATION':
        return x * torch.sigmoid(1.702 * x)
    return F.gelu(x, approximate='tanh' if mode == 'TANH_APPROXIMATION' else 'none')


def _multiply_matrices(
    x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False
) -> Tensor:
    x = x.transpose(-1, -2) if transpose_x else x
    return x @ (y.transpose(-1, -2) if transpose_y else y)


def _slice(
    x: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None = None,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    count = len(begin)
    no = torch.zeros(count, dtype=torch.bool)
    opened, closed = (no if mask is None else mask for mask in (begin_mask, end_mask))
    steps = torch.ones(count, dtype=torch.int32) if stride is None else stride
    parts = [
        slice(
            None if opened[i] else int(begin[i]), None if closed[i] else int(end[i]), int(steps[i])
        )
        for i in range(count)
    ]
    squeezed = no if squeeze_mask is None else squeeze_mask
    return x[
        tuple(int(begin[i]) if squeezed[i] else part for i, part in enumerate(parts))
    ].contiguous()


def _normalize(
    x: Tensor, axes: Tensor, epsilon: float, gamma: Tensor | None = None, beta: Tensor | None = None
) -> Tensor:
    axes_ = _numbers(axes)
    shape = [x.shape[axis] for axis in axes_]
    return F.layer_norm(x, shape, gamma, beta, epsilon)


MIL_OPERATORS: dict[str, Callable[..., Any]] = {
    'add': lambda x, y: x + y,
    'sub': lambda x, y: x - y,
    'mul': lambda x, y: x * y,
    'real_div': lambda x, y: x / y,
    'cast': lambda x, dtype: x.to(TYPES[dtype]),
    'relu': lambda x: x.relu(),
    'relu6': lambda x: x.clamp(0, 6),
    'sigmoid': lambda x: x.sigmoid(),
    'sigmoid_hard': lambda x, alpha, beta: (x * alpha + beta).clamp(0, 1),
    'silu': lambda x: F.silu(x),
    'gelu': _activate_gelu,
    'clip': lambda x, alpha, beta: x.clamp(alpha, beta),
    'softmax': lambda x, axis: x.softmax(axis),
    'layer_norm': _normalize,
    'conv': _convolve,
    'avg_pool': _pool_average,
    'max_pool': _pool_maximum,
    'linear': lambda x, weight, bias=None: F.linear(x, weight, bias),
    'matmul': _multiply_matrices,
    'upsample_bilinear': _enlarge,
    'upsample_nearest_neighbor': _enlarge_nearest,
    'concat': lambda values, axis, interleave=False: torch.cat(values, axis),
    'split': lambda x, axis, num_splits=None, split_sizes=None: x.split(
        x.shape[axis] // num_splits if split_sizes is None else _numbers(split_sizes), axis
    ),
    'gather': lambda x, indices, axis: x.index_select(axis, indices.long()),
    'slice_by_index': _slice,
    'pad': lambda x, pad, mode, constant_val: F.pad(
        x, [n for pair in reversed(pad.view(-1, 2).tolist()) for n in pair], mode, constant_val
    ),
    'reshape': lambda x, shape: x.reshape(_numbers(shape)),
    'transpose': lambda x, perm: x.permute(_numbers(perm)).contiguous(),
    'squeeze': lambda x, axes: x.squeeze(_numbers(axes)),
    'expand_dims': lambda x, axes: x[
        tuple(None if i in _numbers(axes) else slice(None) for i in range(x.ndim + len(axes)))
    ],
    'reduce_mean': lambda x, axes, keep_dims: x.mean(_numbers(axes), keep_dims),
    'reduce_argmax': lambda x, axis, keep_dims: x.argmax(axis, keep_dims).int(),
}
"""By MIL's name; arguments have MIL's names."""
