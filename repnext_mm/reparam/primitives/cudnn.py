"""cuDNN's convolution, which adds a residual and applies ReLU in the same pass, on torch's layers.

The operators are private to torch: ``torch.cudnn_convolution_relu`` and
``torch.cudnn_convolution_add_relu``. They take each dtype in which :func:`cudnn_agrees` has seen them
compute what torch's own layers do. cuDNN refuses some convolutions on some GPUs; such a layer runs
as it is from then on.

They compute ReLU alone. cuDNN fuses **no GELU** through torch, and no addition without ReLU, so the
blocks of RepNeXt-M run as they are. Left out as well are

- grouped convolutions: for depthwise ones torch has kernels of its own;
- programs that ask for deterministic algorithms: these operators take any;
- a CUDA graph that is being recorded, of a layer that has not run before.
"""

import weakref

import torch
from torch import Tensor, nn

from repnext_mm.reparam.primitives.activations import RELU
from repnext_mm.reparam.primitives.convolutions import (
    SmallCase,
    is_close,
    output_shape,
    small_case,
    takes_primitive,
)
from repnext_mm.reparam.primitives.library import PrimitiveLibrary

CUDNN_AGREEMENT = {torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 2e-2}
"""Largest difference from torch's own layers, relative to the largest output, of what is used."""

TF32_AGREEMENT = 5e-3
"""The same for float32 where convolutions may use TF32, which has the mantissa of float16."""

Key = tuple[torch.device, torch.dtype, bool]

_agreements: dict[Key, bool] = {}
"""By device, dtype and whether TF32 is allowed."""

_layers: 'weakref.WeakKeyDictionary[nn.Conv2d, dict[Key, bool]]' = weakref.WeakKeyDictionary()
"""For each layer whether it has run or was refused, by device, dtype and whether there was an addition."""


class CuDNN(PrimitiveLibrary):
    """On NVIDIA's GPUs, for ReLU. Outputs are channels-last if the input or the weights are."""

    def is_allowed(self, x: Tensor) -> bool:
        return (
            x.dtype in CUDNN_AGREEMENT
            and x.layout is torch.strided
            and torch.backends.cudnn.enabled
            and not torch.backends.cudnn.deterministic
            and not torch.are_deterministic_algorithms_enabled()
            and not torch.is_autocast_enabled(x.device.type)
        )

    def run(
        self,
        x: Tensor,
        conv: nn.Conv2d,
        activation: str,
        other: Tensor | None = None,
        overwrite: bool = False,
    ) -> Tensor | None:
        if activation != RELU or conv.groups != 1 or not takes_primitive(conv, x.dtype, x.device):
            return None
        shape = output_shape(conv, x.shape)
        if shape is None or not (other is None or _is_alike(other, shape, x)):
            return None
        key = (x.device, x.dtype, other is not None)
        runs = _layers.setdefault(conv, {})
        has_run = runs.get(key)
        if has_run is False or (has_run is None and _is_recording(x.device)):
            return None
        if not cudnn_agrees(x.device, x.dtype):
            return None
        geometry = conv.stride, conv.padding, conv.dilation, conv.groups
        try:
            result = _run(x, conv.weight, conv.bias, geometry, other)
        except torch.OutOfMemoryError:  # the layers, one after the other, may need less
            return None
        except RuntimeError:  # cuDNN has no kernel for this convolution on this GPU
            runs[key] = False
            return None
        runs[key] = True
        return result


def layers_tried(model: nn.Module) -> tuple[int, int]:
    """How often primitives ran and were refused: layers, each in every dtype and with or without
    an addition."""
    found = [run for module in model.modules() for run in _tried(module)]
    return sum(found), len(found) - sum(found)


def cudnn_agrees(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether torch has cuDNN's primitives and they compute what its own layers do.

    This is tried once for each device, dtype and setting of TF32, but not while a CUDA graph is
    being recorded.
    """
    key = (device, dtype, dtype is torch.float32 and _allows_tf32())
    if key not in _agreements:
        if _is_recording(device):
            return False
        agreement = TF32_AGREEMENT if key[2] else CUDNN_AGREEMENT[dtype]
        try:
            with torch.inference_mode():
                _agreements[key] = all(
                    _agrees_on(small_case(1, size, layout, dtype, device), agreement)
                    for size in (1, 3)
                    for layout in (torch.contiguous_format, torch.channels_last)
                )
        except Exception:  # whatever this torch or this GPU raises; the layers then run as they are
            _agreements[key] = False
    return _agreements[key]


def _agrees_on(case: SmallCase, agreement: float) -> bool:
    padding, stride, dilation, groups = case.geometry
    geometry = stride, padding, dilation, groups
    zeros = torch.zeros_like(case.bias)
    for other, expected in ((None, case.activated[RELU]), (case.other, case.added[RELU])):
        biased, unbiased, like_unbiased = (
            _run(case.x, case.weight, bias, geometry, other) for bias in (case.bias, None, zeros)
        )
        if not (
            is_close(biased, expected, agreement) and is_close(unbiased, like_unbiased, agreement)
        ):
            return False
    return True


def _run(
    x: Tensor, weight: Tensor, bias: Tensor | None, geometry: tuple, other: Tensor | None
) -> Tensor:
    """The operator; ``geometry`` is stride, padding, dilation and groups, in its own order."""
    if other is None:
        return torch.cudnn_convolution_relu(x, weight, bias, *geometry)
    if not (other.is_contiguous() or other.is_contiguous(memory_format=torch.channels_last)):
        other = other.contiguous()
    return torch.cudnn_convolution_add_relu(x, weight, other, 1.0, bias, *geometry)


def _tried(module: nn.Module) -> list[bool]:
    return list(_layers.get(module, {}).values()) if isinstance(module, nn.Conv2d) else []


def _is_alike(other: Tensor, shape: tuple[int, ...], x: Tensor) -> bool:
    return other.shape == shape and other.dtype is x.dtype and other.device == x.device


def _is_recording(device: torch.device) -> bool:
    """Whether a CUDA graph is being recorded."""
    return device.type == 'cuda' and torch.cuda.is_current_stream_capturing()


def _allows_tf32() -> bool:
    try:
        return torch.backends.cudnn.allow_tf32
    except RuntimeError:  # set through torch's newer names, of which this one cannot tell
        return True
