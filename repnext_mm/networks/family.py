"""What a RepNeXt family tells the backbone about itself."""

from collections.abc import Callable
from typing import NamedTuple

from torch import nn


class Family(NamedTuple):
    """What a family of networks consists of: three builders and an initialization.

    ``norm_cfg`` is mmcv's, such as ``dict(type='SyncBN')``.
    """

    build_stem: Callable[[int, int, dict], nn.Module]
    """``(in_channels, channels, norm_cfg)``: image to stage 1, stride 4."""

    build_downsample: Callable[[int, int, dict], nn.Module]
    """``(in_channels, channels, norm_cfg)``: one stage to the next, stride 2."""

    build_block: Callable[[int, float, dict], nn.Module]
    """``(channels, drop_path_rate, norm_cfg)``: ``(N, C, H, W)`` to the same shape."""

    init_cfg: tuple[dict, ...]
    """mmengine's initialization configs for the training form."""
