"""The parts of which the networks of one family are built."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

NormLayer = Callable[[int], nn.Module]
"""Builds a normalization layer for a number of channels, such as ``nn.BatchNorm2d``."""


class Family(NamedTuple):
    """A family of networks: builders of its layers in training form, and their initial weights.

    Of a pruned network the builders of layers that have hidden channels get their number as a
    last argument; else the family has its own. Stride and dilation are given by name, and only in
    networks of another output stride than the published one.
    """

    build_stem: Callable[..., nn.Module]
    """``(in_channels, channels, norm_layer[, hidden_channels])``: image to stage 1, stride 4."""

    build_downsample: Callable[..., nn.Module]
    """``(in_channels, channels, norm_layer[, hidden_channels], stride=, dilation=)``: one stage to the
    next, with stride 2; with stride 1 it keeps the size, and what it computes at every ``2 * dilation``-th
    pixel is what the layer of stride 2 computes at every ``dilation``-th."""

    build_block: Callable[..., nn.Module]
    """``(channels, drop_path_rate, norm_layer[, hidden_channels], dilation=)``: ``(N, C, H, W)`` to the
    same."""

    build_head: Callable[[int, int], nn.Module]
    """``(in_channels, num_classes)``: pooled features ``(N, C)`` to scores ``(N, num_classes)``."""

    initialize: Callable[[nn.Module], None]
    """Draws the initial weights of one convolution or batch norm; leaves other layers alone."""

    build_plain_block: Callable[..., nn.Module] | None = None
    """``(in_channels, hidden_channels, channels, dilation=)``: a block in the form ``'plain'``, in which
    nothing ties the three widths to each other; None if the family has no such form."""

    hidden_in_entries: bool = False
    """Whether stem and downsampling layers have hidden channels, as blocks have."""

    chunks: int = 1
    """The number of equal parts into which a block splits the channels of its stage."""


class ResidualBlock(nn.Module, ABC):
    """A block that adds its input to what it computes of it."""

    @property
    @abstractmethod
    def form(self) -> str:
        """The form of the block."""

    @abstractmethod
    def forward_merged(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """The forward pass in the form ``'fused'``.

        Args:
            x: ``(N, C, H, W)``.
            overwrite: Whether the output may take the memory of ``x``, which nobody reads later.

        Returns:
            ``(N, C, H, W)``.
        """


@runtime_checkable
class Channelwise(Protocol):
    """A layer of which each channel of the output depends on that channel of the input alone."""

    def convs_and_channels(self) -> Iterator[tuple[nn.Conv2d, range]]:
        """Its depthwise convolutions, each with the channels of the input that it reads."""


@runtime_checkable
class Divisible(Protocol):
    """A block that has an equal one of nothing but depthwise and pointwise convolutions."""

    def divided(self) -> nn.Module:
        """The equal block, which is :class:`Divided`."""


@runtime_checkable
class Divided(Protocol):
    """What a :class:`Divisible` block becomes."""

    def united(self) -> nn.Module:
        """The block of the first kind, with the widths and weights that this one has now."""
