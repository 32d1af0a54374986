"""Rules for torch's functions under which a trace keeps no decision of the traced image.

They hold while a model's own prediction code runs for one image, and only there.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from repnext_mm.export.size_free import average_pool, maximum_pool

Rule = Callable[..., Any]


class TensorRules(TorchFunctionMode):
    """Runs torch's functions by the rules of this file; what has none runs as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.slices: dict[int, tuple[Tensor, Tensor, Any]] = {}

    def __torch_function__(
        self, func: Rule, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is Tensor.__getitem__:
            return self._slice(*args)
        if _changes_in_place(func) and args and id(args[0]) in self.slices:
            return self._assign(func, *args, **kwargs)
        return TENSOR_RULES.get(func, func)(*args, **kwargs)

    def _slice(self, tensor: Tensor, index: Any) -> Tensor:
        """A part of a tensor, which is remembered; a range of all rows is counted in the graph."""
        if isinstance(index, tuple) and isinstance(index[0], range):
            index = (torch.arange(tensor.shape[0], device=tensor.device), *index[1:])
        part = tensor[index]
        if part._is_view():
            self.slices[id(part)] = (part, tensor, index)
        return part

    def _assign(self, func: Rule, part: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Changes a slice of a tensor by an assignment; what is done to a view is lost in ONNX."""
        _, whole, index = self.slices[id(part)]
        outer = self.slices.get(id(whole))
        changed = _by_tensors(func.__name__.removesuffix('_'), part, *args, **kwargs)
        whole[index] = changed
        if outer is not None:
            outer[1][outer[2]] = whole
        return changed


def _changes_in_place(func: Rule) -> bool:
    name = getattr(func, '__name__', '')
    return name.endswith('_') and not name.startswith('_') and name not in ('requires_grad_',)


def _by_tensors(name: str, tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A method of tensors; limits that a trace computes are tensors, which ``clamp`` does not mix."""
    if name != 'clamp':
        return getattr(tensor, name)(*args, **kwargs)
    return clamp(tensor, *args, **kwargs)


def clamp(tensor: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """``torch.clamp`` with numbers or tensors of one number as limits."""
    for limit, choose in ((min, torch.maximum), (max, torch.minimum)):
        if limit is not None:
            tensor = choose(tensor, torch.as_tensor(limit).to(tensor))
    return tensor


def split(tensor: Tensor, sizes: Any, dim: int = 0, **kwargs: Any) -> tuple[Tensor, ...]:
    """One part is the whole: mmdet splits what it computed for all images into images."""
    if isinstance(sizes, list | tuple) and len(sizes) == 1:
        return (tensor,)
    return torch.functional.split(tensor, sizes, dim)


def view(tensor: Tensor, *shape: Any) -> Tensor:
    """``tensor.view``, also of channels that lie last in memory, as images have them here."""
    whole = shape and isinstance(shape[0], torch.dtype)
    return tensor.view(*shape) if whole else tensor.reshape(*shape)


def best_places(
    tensor: Tensor,
    k: Any,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,
) -> tuple[Tensor, Tensor]:
    """The best k, or all where an image has fewer of them."""
    values, indices = tensor.sort(dim=dim, descending=largest)
    first = (slice(None),) * (dim % tensor.dim()) + (slice(None, k),)
    best = (values[first].contiguous(), indices[first].contiguous())
    return torch.return_types.topk(best)


def larger(tensor: Tensor, other: Any) -> Any:
    """``tensor > other``; a size counts as larger than any limit, for a larger image may come."""
    if _is_size(tensor) and _is_limit(other):
        return True
    return _not_empty(torch.gt(tensor, other))


def smaller(tensor: Tensor, other: Any) -> Any:
    """``tensor < other``, as :func:`larger`: no size is below a limit."""
    if _is_size(tensor) and _is_limit(other):
        return False
    return torch.lt(tensor, other)


def at_least(tensor: Tensor, other: Any) -> Any:
    """``tensor >= other``, as :func:`larger`."""
    return _not_empty(torch.ge(tensor, other))


def _is_size(tensor: Any) -> bool:
    return isinstance(tensor, Tensor) and tensor.dim() == 0 and tensor.dtype == torch.int64


def _is_limit(value: Any) -> bool:
    """Whether a number limits candidates; smaller ones are numbers of coordinates."""
    return isinstance(value, int) and value >= LEAST_LIMIT


LEAST_LIMIT = 10
"""No configuration of mmdet keeps fewer candidates."""


def _not_empty(mask: Tensor) -> Tensor:
    """The mask, of which the traced image fulfils something, so that the code goes on.

    The value is changed behind the tracer's back: it only decides which way the code takes.
    """
    if mask.dim() and mask.numel() and torch.jit.is_tracing():
        values = mask.numpy()
        if not values.any():
            values.flat[0] = True
    return mask


def any_of(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
    """``tensor.any()``: yes, where the whole is asked for, so that nothing is skipped."""
    return torch.any(tensor, *args, **kwargs) if args or kwargs else True


def all_of(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
    """``tensor.all()``: no, where the whole is asked for, so that nothing is taken as it is."""
    return torch.all(tensor, *args, **kwargs) if args or kwargs else False


def new_tensor(tensor: Tensor, data: Any, **kwargs: Any) -> Tensor:
    """A tensor of the dtype of another; of tensors in lists, it keeps how they were computed."""
    if _holds_tensors(data):
        return torch.stack([new_tensor(tensor, part) for part in data])
    return data.to(tensor) if isinstance(data, Tensor) else tensor.new_tensor(data, **kwargs)


def _holds_tensors(data: Any) -> bool:
    return isinstance(data, list | tuple) and any(
        isinstance(part, Tensor) or _holds_tensors(part) for part in data
    )


def largest_in_windows(
    input: Tensor, kernel_size: Any, stride: Any = None, *args: Any, **kwargs: Any
) -> Tensor:
    """``F.max_pool2d`` with windows that a trace computes from two sizes: their ratio is a constant."""
    kernel, step = (_constants(sides) for sides in (kernel_size, stride))
    return F.max_pool2d(input, kernel, step, *args, **kwargs)


def _constants(sides: Any) -> Any:
    if isinstance(sides, list | tuple):
        return tuple(int(side) for side in sides)
    return None if sides is None else int(sides)


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
) -> Tensor:
    """``F.conv2d``; with computed kernels it is matrix products, or sums of shifted images.

    ONNX wants the numbers of groups and of kernels as constants.
    """
    plain = stride in (1, (1, 1)) and padding in (0, (0, 0)) and dilation in (1, (1, 1))
    if isinstance(weight, torch.nn.Parameter) or not plain or len(input) > 1:
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    height, width = input.shape[2:]
    columns = weight.shape[1]
    if tuple(weight.shape[2:]) == (1, 1):
        rows = input.reshape(-1, columns, height * width)
        outputs = weight.reshape(rows.shape[0], -1, columns) @ rows
        outputs = outputs.reshape(1, -1, height, width)
    elif columns == 1 and len(weight) == input.shape[1]:
        outputs = _channel_by_channel(input, weight)
    else:
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    return outputs if bias is None else outputs + bias.reshape(1, -1, 1, 1)


def _channel_by_channel(images: Tensor, weight: Tensor) -> Tensor:
    """Images ``(1, C, H, W)`` with a kernel ``(C, 1, h, w)`` for each channel."""
    height, width = (
        side - int(taps) + 1 for side, taps in zip(images.shape[2:], weight.shape[2:], strict=True)
    )
    parts = [
        images[:, :, y : y + height, x : x + width] * weight[:, 0, y, x].reshape(1, -1, 1, 1)
        for y in range(int(weight.shape[2]))
        for x in range(int(weight.shape[3]))
    ]
    return torch.stack(parts).sum(0)


def diagonal_matrix(tensor: Tensor, diagonal: int = 0) -> Tensor:
    """``torch.diag`` of a vector, which may be infinite."""
    if tensor.dim() != 1 or diagonal:
        return torch.diag(tensor, diagonal)
    places = torch.arange(tensor.shape[0], device=tensor.device)
    return torch.where(places == places.unsqueeze(1), tensor, torch.zeros_like(tensor))


TENSOR_RULES: dict[Any, Rule] = {
    Tensor.split: split,
    torch.split: split,
    torch.functional.split: split,
    Tensor.view: view,
    Tensor.topk: best_places,
    torch.topk: best_places,
    Tensor.__gt__: larger,
    Tensor.gt: larger,
    torch.gt: larger,
    Tensor.__lt__: smaller,
    Tensor.__ge__: at_least,
    Tensor.ge: at_least,
    torch.ge: at_least,
    Tensor.any: any_of,
    Tensor.all: all_of,
    Tensor.new_tensor: new_tensor,
    Tensor.clamp: clamp,
    torch.clamp: clamp,
    Tensor.__deepcopy__: lambda tensor, memo: tensor,
    F.adaptive_avg_pool2d: average_pool,
    F.adaptive_max_pool2d: maximum_pool,
    F.max_pool2d: largest_in_windows,
    torch.max_pool2d: largest_in_windows,
    F.conv2d: convolution,
    torch.conv2d: convolution,
    torch.diag: diagonal_matrix,
}
"""What runs in the place of a function of torch, with the same arguments."""
