"""oneDNN's convolution, which adds and activates in the same pass, on torch's layers.

The operators are private to torch: ``torch.ops.mkldnn._convolution_pointwise`` and its variant with
an addition, and ``_reorder_convolution_weight``, which brings weights into oneDNN's own layout. So
they are used only after they were seen to agree with torch's own layers (:func:`onednn_agrees`).

What is known of a convolution is kept beside it, not in it: copies and files have nothing of it.
"""

import functools
import weakref
from typing import Any

import torch
from torch import Tensor, nn

from repnext_mm.reparam.primitives.activations import GELU, NONE, RELU
from repnext_mm.reparam.primitives.convolutions import (
    is_close,
    output_shape,
    small_case,
    takes_primitive,
)
from repnext_mm.reparam.primitives.library import PrimitiveLibrary

ONEDNN_AGREEMENT = 1e-5
"""Largest difference from torch's own layers, relative to the largest output, of what is used."""

UNARY: dict[str, tuple] = {
    NONE: ('none', [], ''),
    RELU: ('relu', [], ''),
    GELU: ('gelu', [], 'none'),
}
"""The operator's arguments for each of them: name, numbers, and kind of GELU."""

BINARY: dict[str, tuple] = {
    NONE: ('add', 1.0, None, [], None),
    RELU: ('add', 1.0, 'relu', [], None),
}
"""The same for the operator that adds: what it does, factor, then as above."""

PACKED_PIXELS = 8192
"""Weights are packed for outputs of up to as many pixels in a batch. For larger ones torch's own way,
to reorder the weights in every call, takes less than a hundredth of the time."""

SIZES_KEPT = 4
"""For how many sizes of the input a convolution keeps packed weights, each a copy of them."""

COMPARED_WEIGHTS = 32
"""Weights that are compared with what was packed: changes through ``.data`` count no version."""


class OneDNN(PrimitiveLibrary):
    """On CPU, in float32. Outputs are channels-last; GELU comes without an addition."""

    def is_allowed(self, x: Tensor) -> bool:
        return (
            x.dtype is torch.float32
            and x.layout is torch.strided
            and torch._C._get_mkldnn_enabled()
            and not torch.is_autocast_enabled('cpu')
        )

    def run(
        self,
        x: Tensor,
        conv: nn.Conv2d,
        activation: str,
        other: Tensor | None = None,
        overwrite: bool = False,
    ) -> Tensor | None:
        if other is not None and activation not in BINARY:
            return None
        state = _states.get(id(conv))
        if state is None or not state.is_current(conv):
            state = _states[id(conv)] = _ConvState(conv)
        shape = x.shape
        plan = state.plans.get(shape) or state.add_plan(conv, shape)
        if plan.output_shape is None or not onednn_agrees():
            return None
        if not x.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous(memory_format=torch.channels_last)
        weight = plan.take()
        arguments = weight, conv._parameters['bias'], *state.geometry
        try:
            if other is None:
                return _operators().default(x, *arguments, *UNARY[activation])
            if other.shape != plan.output_shape or other.dtype is not x.dtype or not other.is_cpu:
                return None
            if not other.is_contiguous(memory_format=torch.channels_last):
                other = other.contiguous(memory_format=torch.channels_last)
            elif overwrite and other is not x:
                return _operators_in_place().binary(other, x, *arguments, *BINARY[activation])
            return _operators().binary(x, other, *arguments, *BINARY[activation])
        except RuntimeError:  # oneDNN cannot describe some outputs of one pixel or one channel
            plan.output_shape = None
            return None


@functools.cache
def onednn_agrees() -> bool:
    """Whether torch has oneDNN's primitives and they compute what its own layers do."""
    try:
        with torch.inference_mode():
            return all(_agrees_on(groups, size) for groups, size in ((1, 1), (16, 3)))
    except Exception:  # whatever another version of torch raises; the layers then run as they are
        return False


@functools.cache
def _operators() -> Any:
    return torch.ops.mkldnn._convolution_pointwise


@functools.cache
def _operators_in_place() -> Any:
    """The variant that adds to a tensor where it is. The other one copies the tensor first."""
    return torch.ops.mkldnn._convolution_pointwise_


class _Plan:
    """How a convolution runs on inputs of one shape.

    Args:
        weight: Of the convolution.
        geometry: As of :class:`_ConvState`.
        shape: Of the input.
        output_shape: None where the layer has to run as it is.
    """

    def __init__(
        self, weight: Tensor, geometry: tuple, shape: torch.Size, output_shape: tuple | None
    ):
        self.weight = weight
        self.geometry = geometry
        self.shape = shape
        self.output_shape = output_shape
        self.packed: Tensor | None = None
        n, _, height, width = output_shape or (0, 0, 0, 0)
        self.is_small = n * height * width <= PACKED_PIXELS
        self.is_called = False

    def take(self) -> Tensor:
        """The weights, packed from the second call on: many sizes come once."""
        if self.packed is not None:
            return self.packed
        if self.is_small and self.is_called:
            self.packed = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, *self.geometry, list(self.shape)
            )
            return self.packed
        self.is_called = True
        return self.weight


class _ConvState:
    """What is known of one convolution, for as long as its weights stay.

    Args:
        conv: Any convolution.
    """

    def __init__(self, conv: nn.Conv2d):
        weight: Any = conv._parameters.get('weight')
        self.plans: dict[torch.Size, _Plan] = {}
        self.geometry = _geometry(conv)
        self.parameter = weight
        self.usable = _usable(conv)
        if self.usable:
            self.version = weight._version
            self.weight = weight.detach()
            """Keeps the memory, so that no other weights can come to lie at its address."""
            count = weight.numel()
            shape, step = (min(COMPARED_WEIGHTS, count),), (max(1, count // COMPARED_WEIGHTS),)
            self.sample = self.weight.as_strided(shape, step, weight.storage_offset())
            self.sampled = self.sample.clone()
        key = id(conv)
        self.conv = weakref.ref(conv, lambda _: _states.pop(key, None))

    def is_current(self, conv: nn.Conv2d) -> bool:
        """Whether the convolution is this one, with the weights and the geometry that it had."""
        weight: Any = conv._parameters.get('weight')
        return (
            self.usable
            and self.conv() is conv
            and weight is self.parameter
            and weight.data_ptr() == self.weight.data_ptr()
            and weight._version == self.version
            and _geometry(conv) == self.geometry
            and torch.equal(self.sample, self.sampled)
        )

    def add_plan(self, conv: nn.Conv2d, shape: torch.Size) -> _Plan:
        """A new plan for inputs of a shape; the oldest one of many is forgotten."""
        output = output_shape(conv, shape) if self.usable else None
        plan = _Plan(self.parameter, self.geometry, shape, output)
        # A new dict, because other threads may read the old one.
        kept = list(self.plans.items())[1 - SIZES_KEPT :]
        self.plans = dict([*kept, (shape, plan)])
        return plan


_states: dict[int, _ConvState] = {}
"""By the ``id`` of the convolution, which takes its entry away when it goes."""


def _geometry(conv: nn.Conv2d) -> tuple:
    return conv.padding, conv.stride, conv.dilation, conv.groups


def _usable(conv: nn.Conv2d) -> bool:
    """Whether parameters and geometry are such as a primitive takes, and their changes are seen."""
    if not takes_primitive(conv, torch.float32, torch.device('cpu')):
        return False
    weight = conv.weight
    return not any(
        parameter is not None and parameter.is_inference()  # it counts no versions
        for parameter in conv._parameters.values()
    ) and (weight.is_contiguous() or weight.is_contiguous(memory_format=torch.channels_last))


def _agrees_on(groups: int, size: int) -> bool:
    """Whether all primitives agree with torch on a small convolution, packed and not."""
    case = small_case(groups, size)
    packed = torch.ops.mkldnn._reorder_convolution_weight(
        case.weight, *case.geometry, list(case.x.shape)
    )
    run, run_in_place = _operators(), _operators_in_place()
    for weight in (case.weight, packed):
        arguments = weight, case.bias, *case.geometry
        results = [
            *((run.default(case.x, *arguments, *UNARY[name]), y) for name, y in case.activated.items()),
            *(
                (run.binary(case.x, case.other, *arguments, *BINARY[name]), y)
                for name, y in case.added.items()
            ),
            *(
                (run_in_place.binary(case.other.clone(), case.x, *arguments, *BINARY[name]), y)
                for name, y in case.added.items()
            ),
        ]  # fmt: skip
        if not all(is_close(result, expected, ONEDNN_AGREEMENT) for result, expected in results):
            return False
    return True
