"""Blocks that run merged while they train, as far as their batch norms are fixed.

A batch norm in evaluation mode is an affine map, so branches between two nonlinearities are one
linear map, and a block may compute its merged kernels from the parameters in each forward pass,
run these, and send gradients back through the algebra to every parameter. Nothing is kept between
passes, so optimizers, wrappers, averages and checkpoints only ever see the training form.
"""

from abc import abstractmethod

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm.reparam import layers
from repnext_mm.reparam.convert import Reparameterizable, is_plain_conv, is_plain_norm
from repnext_mm.reparam.forms import TRAINING
from repnext_mm.reparam.loading import is_recorded


class LiveMerging(Reparameterizable):
    """A mergeable block whose training form can run merged.

    Its forward method asks :meth:`live_convs` and runs the branches where the answer is None.
    Every batch norm of it, and of the modules in it, is the attribute ``norm`` of some module.
    """

    merge_frozen_norms = False
    """Whether to run merged wherever every batch norm of this block is in evaluation mode."""

    @abstractmethod
    def merged_convs(self, read: layers.Read = layers.exact) -> tuple[layers.MergedConv, ...]:
        """The convolutions of the merged block that differ from those in training form."""

    def live_convs(self) -> tuple[layers.MergedConv, ...] | None:
        """:meth:`merged_convs` as functions of the parameters; None where the branches must run.

        That is: without :attr:`merge_frozen_norms`, while any batch norm uses the statistics of
        the batch, where a layer was replaced or has hooks, and while a graph is recorded for a
        file, which shows the network as it is.
        """
        if not self.merge_frozen_norms or self.form != TRAINING:
            return None
        if not is_linear(self) or is_recorded():
            return None
        device = next(self.parameters()).device.type
        with torch.autocast(device, enabled=False):  # else the algebra would run in half precision
            return self.merged_convs(layers.live)


def run_merged_while_frozen(model: nn.Module, enabled: bool = True) -> None:
    """Sets :attr:`LiveMerging.merge_frozen_norms` of every block of ``model``.

    A network that is evaluated should have it off: then its forms are compared, and timed, as
    what they are.
    """
    for module in model.modules():
        if isinstance(module, LiveMerging):
            module.merge_frozen_norms = enabled


def is_linear(block: nn.Module) -> bool:
    """Whether the convolutions and batch norms of a block are nothing but fixed linear maps."""
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            if not is_plain_conv(module) or _has_backward_hooks(module):
                return False
        elif isinstance(module, _BatchNorm):
            if module.training or not is_plain_norm(module) or _has_backward_hooks(module):
                return False
        elif 'norm' in module._modules and not isinstance(module._modules['norm'], _BatchNorm):
            return False
    return True


def _has_backward_hooks(layer: nn.Module) -> bool:
    return bool(layer._backward_hooks or layer._backward_pre_hooks)
