"""RepNeXt-M: the mobile family, a MetaNeXt with multi-scale depthwise token mixers.

Paper: RepNeXt: A Fast Multi-Scale CNN using Structural Reparameterization
(arXiv 2406.16004). Modules have the names of the official state dicts
(https://github.com/suous/RepNeXt), so that official checkpoints fit.

The ``fused`` form has no batch norm and the merged token mixers of
:mod:`repnext_mm.networks.token_mixers`. There is no ``plain`` form: inputs of the blocks
may be negative.
"""

import math
from collections import OrderedDict
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from repnext_mm.deprecation import renamed_argument
from repnext_mm.networks.family import Family, NormLayer, ResidualBlock
from repnext_mm.networks.heads import TwoClassifiers
from repnext_mm.networks.initialization import initialize_norm, zero_bias
from repnext_mm.networks.token_mixers import (
    CHUNKS,
    ChunkConv,
    CopyConv,
    MediumMixer,
    SmallMixer,
)
from repnext_mm.reparam import TRAINING, layers
from repnext_mm.reparam.convert import has_hooks
from repnext_mm.reparam.live import LiveMerging
from repnext_mm.reparam.primitives import ConvSequential, are_maps_unseen, conv_act, conv_add

EXPANSION = 2


class ConvNorm(nn.Sequential):
    """Convolution without bias, then batch norm."""

    conv: nn.Conv2d
    norm: nn.Module

    def __init__(
        self, in_channels: int, channels: int, norm_layer: NormLayer, size: int = 1, stride: int = 1
    ):
        conv = nn.Conv2d(in_channels, channels, size, stride, padding=size // 2, bias=False)
        norm = norm_layer(channels)
        super().__init__(OrderedDict(conv=conv, norm=norm))

    def merged_conv(self, read: layers.Read = layers.exact) -> layers.MergedConv:
        """Both as one convolution."""
        return layers.merge_conv_norm(self.conv, self.norm, read)


class ChannelMixer(nn.Sequential):
    """Two pointwise convolutions with batch norm, C to 2C to C, and GELU between them.

    Args:
        channels: Channels in and out, C.
        norm_layer: Builds a normalization layer for a number of channels.
        hidden_channels: Channels between the two, of a pruned network; None for 2C.
    """

    def __init__(self, channels: int, norm_layer: NormLayer, hidden_channels: int | None = None):
        hidden = hidden_channels or EXPANSION * channels
        super().__init__(
            ConvNorm(channels, hidden, norm_layer),
            nn.GELU(),
            ConvNorm(hidden, channels, norm_layer),
        )

    def merged_convs(
        self, norm: nn.Module | None = None, read: layers.Read = layers.exact
    ) -> tuple[layers.MergedConv, layers.MergedConv]:
        """The two convolutions without batch norms; with ``norm``, which comes before, folded in."""
        expand, project = cast(ConvNorm, self[0]), cast(ConvNorm, self[2])
        if norm is None:
            first = expand.merged_conv(read)
        else:
            first = layers.merge_norm_conv(norm, expand.conv, expand.norm, read)
        return first, project.merged_conv(read)

    def mix(self, x: Tensor, expand: layers.Convolution, project: layers.Convolution) -> Tensor:
        """The forward pass with these two convolutions."""
        return project(self[1](expand(x)))


class Stem(LiveMerging):
    """Two convolutions 3x3 with stride 2 and batch norm, and GELU between them.

    Args:
        first: The first convolution, with or without a batch norm.
        second: The second one.
    """

    forms = ('fused',)

    def __init__(self, first: ConvNorm | nn.Conv2d, second: ConvNorm | nn.Conv2d):
        super().__init__()
        self.stem = ConvSequential(first, nn.GELU(), second)

    @property
    def form(self) -> str:
        return TRAINING if isinstance(self.stem[0], ConvNorm) else 'fused'

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, in_channels, H, W)`` to ``(N, C, H / 4, W / 4)``, rounded up."""
        if live := self.live_convs():
            first, second = live
            return second(self.stem[1](first(x)))
        return self.stem(x)

    def merged_convs(self, read: layers.Read = layers.exact) -> tuple[layers.MergedConv, ...]:
        first, second = cast(ConvNorm, self.stem[0]), cast(ConvNorm, self.stem[2])
        return first.merged_conv(read), second.merged_conv(read)

    @renamed_argument('mode', 'form')
    def merged(self, form: str) -> nn.Module:
        first, second = self.merged_convs()
        return Stem(first.build(), second.build()).eval()


class MetaNeXt(LiveMerging):
    """The common parts of blocks and downsampling layers.

    Args:
        token_mixer: Depthwise convolutions.
        channel_mixer: Pointwise, nonlinearity, pointwise.
        norm: Batch norm between the two; None when it is folded into one of them.
    """

    forms = ('fused',)

    def __init__(
        self, token_mixer: nn.Module, channel_mixer: nn.Sequential, norm: nn.Module | None = None
    ):
        super().__init__()
        self.token_mixer: Any = token_mixer
        self.norm = nn.Identity() if norm is None else norm
        self.channel_mixer: Any = channel_mixer

    @property
    def form(self) -> str:
        return 'fused' if isinstance(self.norm, nn.Identity) else TRAINING

    def mixed(self, x: Tensor, shortcut: Tensor, overwrite: bool) -> Tensor:
        """``shortcut + channel_mixer(x)`` in the form ``'fused'``, which may overwrite the shortcut."""
        if has_hooks(self.channel_mixer):
            return shortcut + self.channel_mixer(x)
        expand, act, project = self.channel_mixer
        return conv_add(conv_act(x, expand, act), project, shortcut, overwrite=overwrite)


class Block(MetaNeXt, ResidualBlock):
    """``x + channel_mixer(norm(token_mixer(x)))``; stochastic depth acts on the branch."""

    def __init__(
        self,
        token_mixer: nn.Module,
        channel_mixer: nn.Sequential,
        norm: nn.Module | None = None,
        drop_path_rate: float = 0.0,
    ):
        super().__init__(token_mixer, channel_mixer, norm)
        self.drop_path = StochasticDepth(drop_path_rate, 'row') if drop_path_rate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C, H, W)`` to ``(N, C, H, W)``."""
        if self.form != TRAINING:
            return self.forward_merged(x)
        if live := self.live_convs():
            conv_sm, expand, project = live
            y = self.channel_mixer.mix(self.token_mixer.mix(x, conv_sm), expand, project)
        else:
            y = self.channel_mixer(self.norm(self.token_mixer(x)))
        return x + self.drop_path(y)

    def forward_merged(self, x: Tensor, overwrite: bool = False) -> Tensor:
        return self.mixed(self.token_mixer(x), x, overwrite)

    def merged_convs(self, read: layers.Read = layers.exact) -> tuple[layers.MergedConv, ...]:
        channel_mixer = self.channel_mixer.merged_convs(self.norm, read)
        return self.token_mixer.merged_conv(read), *channel_mixer

    @renamed_argument('mode', 'form')
    def merged(self, form: str) -> nn.Module:
        channel_mixer = merged_channel_mixer(*self.channel_mixer.merged_convs(self.norm))
        return Block(self.token_mixer.merged(), channel_mixer).eval()


class Downsample(MetaNeXt):
    """``t + channel_mixer(t)`` with ``t = norm(token_mixer(x))``, at the token mixer's resolution.

    The shortcut skips the channel mixer only, so the batch norm is folded backward.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C, H, W)`` to ``(N, 2C, H / stride, W / stride)``, rounded up."""
        if live := self.live_convs():
            conv_s, conv_m, expand, project = live
            x = torch.cat((conv_s(x), conv_m(x)), dim=1)
            return x + self.channel_mixer.mix(x, expand, project)
        x = self.norm(self.token_mixer(x))
        if self.form == TRAINING:
            return x + self.channel_mixer(x)
        return self.mixed(x, x, overwrite=are_maps_unseen(self))

    def merged_convs(self, read: layers.Read = layers.exact) -> tuple[layers.MergedConv, ...]:
        channel_mixer = self.channel_mixer.merged_convs(read=read)
        return *self.token_mixer.merged_convs(self.norm, read), *channel_mixer

    @renamed_argument('mode', 'form')
    def merged(self, form: str) -> nn.Module:
        conv_s, conv_m, expand, project = self.merged_convs()
        token_mixer = CopyConv(conv_s.build(), conv_m.build())
        return Downsample(token_mixer, merged_channel_mixer(expand, project)).eval()


def merged_channel_mixer(expand: layers.MergedConv, project: layers.MergedConv) -> nn.Sequential:
    """A channel mixer without batch norms."""
    return ConvSequential(expand.build(), nn.GELU(), project.build())


def build_stem(
    in_channels: int, channels: int, norm_layer: NormLayer, hidden_channels: int | None = None
) -> Stem:
    """A stem in training form."""
    hidden = hidden_channels or channels // 2
    return Stem(
        ConvNorm(in_channels, hidden, norm_layer, size=3, stride=2),
        ConvNorm(hidden, channels, norm_layer, size=3, stride=2),
    )


def build_downsample(
    in_channels: int,
    channels: int,
    norm_layer: NormLayer,
    hidden_channels: int | None = None,
    stride: int = 2,
    dilation: int = 1,
) -> Downsample:
    """A downsampling layer in training form.

    Raises:
        ValueError: If it does not double the channels.
    """
    if channels != 2 * in_channels:
        raise ValueError(
            f'RepNeXt-M doubles its channels from stage to stage, got {in_channels} -> {channels}'
        )
    small = SmallMixer(in_channels, stride, dilation, serial=True)
    mixer = CopyConv(small, MediumMixer(in_channels, stride, dilation))
    norm = norm_layer(channels)
    return Downsample(mixer, ChannelMixer(channels, norm_layer, hidden_channels), norm)


def build_block(
    channels: int,
    drop_path_rate: float,
    norm_layer: NormLayer,
    hidden_channels: int | None = None,
    dilation: int = 1,
) -> Block:
    """A block in training form."""
    norm = norm_layer(channels)
    channel_mixer = ChannelMixer(channels, norm_layer, hidden_channels)
    return Block(ChunkConv(channels, dilation), channel_mixer, norm, drop_path_rate)


def initialize(layer: nn.Module) -> None:
    """Torch's own weights for convolutions: small ones would vanish in serial depthwise pairs."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5))
        zero_bias(layer)
    initialize_norm(layer)


FAMILY = Family(
    build_stem,
    build_downsample,
    build_block,
    TwoClassifiers,
    initialize,
    hidden_in_entries=True,
    chunks=CHUNKS,
)
