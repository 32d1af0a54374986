"""Where primitives are used: the switch, the library of a device, and who might be looking."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as torch_modules

from repnext_mm.reparam.primitives.cudnn import CuDNN
from repnext_mm.reparam.primitives.library import PrimitiveLibrary
from repnext_mm.reparam.primitives.onednn import OneDNN

ENVIRONMENT = 'REPNEXT_MM_PRIMITIVES'
"""The environment variable that, set to ``0`` before the import, turns the primitives off."""

_state = dict(enabled=os.environ.get(ENVIRONMENT, '1') != '0')


LIBRARIES: dict[str, PrimitiveLibrary] = dict(cpu=OneDNN(), cuda=CuDNN())
"""By the kind of the device."""


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


def run_primitive(
    x: Tensor,
    conv: nn.Conv2d,
    activation: str,
    other: Tensor | None = None,
    overwrite: bool = False,
) -> Tensor | None:
    """``activation(other + conv(x))`` by the library of the input's device.

    Args:
        x: ``(N, C, H, W)``, which :func:`is_unobserved`.
        conv: A convolution that is ``nn.Conv2d`` and nothing else.
        activation: One of those in :mod:`~.activations`.
        other: Tensor to add, of the shape of the output.
        overwrite: Whether the output may take the memory of ``other``, which nobody reads later.

    Returns:
        The output; None where no primitive computes it.
    """
    library = LIBRARIES.get(x.device.type)
    if library is None or not library.is_allowed(x):
        return None
    return library.run(x, conv, activation, other, overwrite)


def is_unobserved(conv: nn.Module, x: Tensor, other: Tensor | None = None) -> bool:
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
        _is_watched(conv)
        or _is_every_module_watched()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
        or torch._C._is_tracing()
    )


def are_maps_unseen(module: nn.Module) -> bool:
    """Whether nobody sees the feature maps inside a module, so that primitives may overwrite them.

    That is where none of the layers has a forward hook or a replaced forward method, which could
    keep a map that passes through.
    """
    return (
        _state['enabled']
        and not torch.compiler.is_compiling()
        and not _is_every_module_watched()
        and not any(map(_is_watched, module.modules()))
    )


def _is_watched(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or 'forward' in module.__dict__)


def _is_every_module_watched() -> bool:
    return bool(torch_modules._global_forward_hooks or torch_modules._global_forward_pre_hooks)
