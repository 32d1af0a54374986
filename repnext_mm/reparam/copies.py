"""Copies of models in training that are independent of the original."""

import copy
import inspect
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.utils._pytree import tree_leaves

GROUP = torch.distributed.ProcessGroup if torch.distributed.is_available() else ()
"""For ``isinstance``."""

ENTRY_POINTS = ('train_step', 'val_step', 'test_step')
"""The methods that mmengine replaces by compiled ones."""


def independent_copy(model: nn.Module) -> nn.Module:
    """A deep copy of which nothing runs, or is shared with, the original.

    mmengine replaces methods of models in training by functions that are bound to the original:
    compiled steps and, with ``activation_checkpointing`` or ``efficient_conv_bn_eval``,
    ``forward``. The copy has the methods of its classes again.

    Raises:
        ValueError: If any other function took the place of a ``forward``.
    """
    model = copy.deepcopy(model, _uncopied(model))
    for name, module in model.named_modules():
        for step in ENTRY_POINTS:
            vars(module).pop(step, None)
        forward = vars(module).get('forward')
        own = getattr(inspect.unwrap(forward), '__func__', None) is type(module).forward
        if own or isinstance(getattr(forward, '__self__', None), GraphModule):
            del module.forward
        elif isinstance(forward, FunctionType):
            raise ValueError(
                f'forward of {name or "the model"!r} was replaced by {forward.__qualname__} of '
                f'{forward.__module__}, which may run the original inside a copy: remove it'
            )
    return model


def _uncopied(model: nn.Module) -> dict[int, Any]:
    """Stand-ins in a copy, by the id of the original, for values that ``deepcopy`` cannot copy.

    These are process groups, as SyncBN has them, and tensors that training has computed.
    """
    memo: dict[int, Any] = {}
    for value in tree_leaves([vars(module) for module in model.modules()]):
        if isinstance(value, Tensor) and not value.is_leaf:
            memo[id(value)] = value.detach().clone()
        elif isinstance(value, GROUP):
            memo[id(value)] = value
    return memo
