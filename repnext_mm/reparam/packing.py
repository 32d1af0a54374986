"""Weights of convolutions in oneDNN's own layout, kept for as long as they are right.

The layout that oneDNN wants depends on the size of the input: pointwise weights in that of a small
one take three times as long on a large one as weights that are not packed. So weights are packed
for a size when it comes a second time in a row.
"""

from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

SIZES_KEPT = 2
"""For how many sizes of the input a convolution keeps packed weights, each a copy of them."""

SAMPLES = 32
"""Weights that are compared with what was packed: changes through ``.data`` count no version."""


def packed_weight(conv: nn.Conv2d, shape: torch.Size) -> Tensor:
    """The weights of a convolution as oneDNN's primitive takes them.

    Packed weights are forgotten when those of the convolution change in place, are replaced, cast
    or moved, and with the convolution. They are no part of it, so copies and files lack them.

    Args:
        conv: Its weights are dense float32 on the CPU.
        shape: Of the input, ``(N, C, H, W)``, which is channels-last.

    Returns:
        Packed weights, or those of the convolution as they are.
    """
    entry = _entries.get(conv)
    if entry is None or not entry.is_current(conv):
        entry = _entries[conv] = _PackedWeights(conv)
    return entry.take(shape)


class _PackedWeights:
    """Packed weights of one convolution."""

    def __init__(self, conv: nn.Conv2d):
        self.geometry = _geometry(conv)
        self.version = conv.weight._version
        self.weight = conv.weight.detach()
        """Keeps the memory, so that other weights cannot come to lie at the same address."""
        count = self.weight.numel()
        shape, step = (min(SAMPLES, count),), (max(1, count // SAMPLES),)
        self.sample = self.weight.as_strided(shape, step, self.weight.storage_offset())
        self.sampled = self.sample.clone()
        self.packed: dict[torch.Size, Tensor] = {}
        self.last_shape: torch.Size | None = None

    def is_current(self, conv: nn.Conv2d) -> bool:
        """Whether the convolution has the weights and the geometry that it had."""
        weight = conv._parameters['weight']
        return (
            weight.data_ptr() == self.weight.data_ptr()
            and weight._version == self.version
            and _geometry(conv) == self.geometry
            and torch.equal(self.sample, self.sampled)
        )

    def take(self, shape: torch.Size) -> Tensor:
        """The weights for an input of this shape, packed if the last one had it too."""
        packed = self.packed.get(shape)
        if packed is not None:
            return packed
        if self.last_shape != shape:
            self.last_shape = shape
            return self.weight
        packed = torch.ops.mkldnn._reorder_convolution_weight(
            self.weight, *self.geometry, list(shape)
        )
        # A new dict, because other threads may read the old one.
        kept = list(self.packed.items())[1 - SIZES_KEPT :]
        self.packed = dict([*kept, (shape, packed)])
        return packed


def _geometry(conv: nn.Conv2d) -> tuple:
    return conv.padding, conv.stride, conv.dilation, conv.groups


_entries: WeakKeyDictionary[nn.Conv2d, _PackedWeights] = WeakKeyDictionary()
