"""A stage of a network: blocks at one resolution."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from repnext_mm.networks.family import ResidualBlock
from repnext_mm.reparam import TRAINING
from repnext_mm.reparam.primitives import are_maps_unseen


class Stage(nn.Module):
    """An optional downsampling layer, then blocks at one resolution.

    Args:
        downsample: Halves height and width, or keeps them; None in the first stage.
        blocks: Map ``(N, C, H, W)`` to the same shape.
        with_cp: Recompute each block's activations in the backward pass.
    """

    def __init__(self, downsample: nn.Module | None, blocks: Sequence[nn.Module], with_cp: bool):
        super().__init__()
        if downsample is not None:
            self.downsample = downsample
        self.blocks = nn.ModuleList(blocks)
        self.with_cp = with_cp

    def forward(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """Maps ``(N, C_in, H, W)`` to ``(N, C, H', W')``: the size that ``downsample`` leaves.

        Args:
            x: The input.
            overwrite: Whether a merged block may overwrite it, because nobody reads it later.
        """
        unseen = not self.training and are_maps_unseen(self)
        if 'downsample' in self._modules:
            x, overwrite = self.downsample(x), True
        for block in self.blocks:
            if unseen and isinstance(block, ResidualBlock) and block.form != TRAINING:
                x = block.forward_merged(x, overwrite)
            elif self.with_cp and torch.is_grad_enabled():
                # Unlike the forward pass, the recomputation must not count the batch again.
                contexts = partial(_checkpoint_contexts, block)
                x = checkpoint(block, x, use_reentrant=False, context_fn=contexts)
            else:
                x = block(x)
            overwrite = True
        return x


@contextmanager
def _running_statistics_kept(module: nn.Module) -> Iterator[None]:
    """Within it, batch norms in training mode leave their running statistics alone."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.training]
    before = [(norm, norm.momentum, copy.deepcopy(norm.num_batches_tracked)) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, batches in before:
            norm.momentum = momentum
            if norm.num_batches_tracked is not None and batches is not None:
                norm.num_batches_tracked.copy_(batches)


def _checkpoint_contexts(block: nn.Module):
    """The contexts for the forward pass and for the recomputation."""
    return nullcontext(), _running_statistics_kept(block)
