"""The parts of which the networks of one family are built."""

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

NormLayer = Callable[[int], nn.Module]
"""Builds a normalization layer for a number of channels, such as ``nn.BatchNorm2d``."""


class Family(NamedTuple):
    """A family of networks: builders of its layers in training form, and their initial weights."""

    build_stem: Callable[[int, int, NormLayer], nn.Module]
    """``(in_channels, channels, norm_layer)``: image to stage 1, stride 4."""

    build_downsample: Callable[[int, int, NormLayer], nn.Module]
    """``(in_channels, channels, norm_layer)``: one stage to the next, stride 2."""

    build_block: Callable[[int, float, NormLayer], nn.Module]
    """``(channels, drop_path_rate, norm_layer)``: ``(N, C, H, W)`` to the same shape."""

    build_head: Callable[[int, int], nn.Module]
    """``(in_channels, num_classes)``: pooled features ``(N, C)`` to scores ``(N, num_classes)``."""

    initialize: Callable[[nn.Module], None]
    """Draws the initial weights of one convolution or batch norm; leaves other layers alone."""
