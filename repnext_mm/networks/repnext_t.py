"""RepNeXt-T: ConvNeXt's shape from convolutions and ReLU alone.

The training form has parallel depthwise branches and residual connections, the
``fused`` form one depthwise 7x7 convolution per block, the ``plain`` form neither
branch nor addition. The published drawings of the branches are lost; the reading
here is the one that reproduces the published parameter counts to the digit.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from repnext_mm.deprecation import renamed_argument
from repnext_mm.networks.family import Family, NormLayer, ResidualBlock
from repnext_mm.networks.heads import LinearHead
from repnext_mm.networks.initialization import initialize_norm, zero_bias
from repnext_mm.networks.plain import UNIT_SIZE, PlainBlock
from repnext_mm.reparam import TRAINING, kernels, layers
from repnext_mm.reparam.live import LiveMerging
from repnext_mm.reparam.primitives import ConvSequential, conv_act, conv_add

EXPANSION = 4


class Branch(NamedTuple):
    """One parallel branch of a RepUnit: a depthwise convolution, or with size 0 none."""

    size: int
    dilation: int = 1


IDENTITY = Branch(0)
DILATED = (Branch(3, 1), Branch(3, 2), Branch(3, 3))

ER = (Branch(UNIT_SIZE),)
V1 = (*DILATED, Branch(1))
V2 = (*DILATED, IDENTITY)
V3 = (*DILATED, Branch(1), IDENTITY)


class ConvBranch(nn.Sequential):
    """Depthwise convolution without bias, then batch norm.

    Args:
        branch: Size and dilation.
        channels: Channels in and out.
        norm_layer: Builds a normalization layer for a number of channels.
        dilation: Of the unit, by which that of the branch is multiplied.
    """

    conv: nn.Conv2d
    norm: nn.Module

    def __init__(self, branch: Branch, channels: int, norm_layer: NormLayer, dilation: int = 1):
        spread = branch.dilation * dilation
        conv = nn.Conv2d(
            channels,
            channels,
            branch.size,
            padding=spread * (branch.size // 2),
            dilation=spread,
            groups=channels,
            bias=False,
        )
        super().__init__(OrderedDict(conv=conv, norm=norm_layer(channels)))
        self.own_dilation = branch.dilation

    def kernel(self, read: layers.Read = layers.exact) -> tuple[Tensor, Tensor]:
        """The branch as a depthwise convolution with the dilation of its unit: weight and bias."""
        weight, bias = layers.conv_weights(self.conv, read)
        weight = kernels.dilated_to_dense(weight, self.own_dilation)
        return kernels.fuse_conv_bn(weight, bias, *layers.norm_affine(self.norm, read))


class IdentityBranch(nn.Sequential):
    """Batch norm alone."""

    norm: nn.Module

    def __init__(self, channels: int, norm_layer: NormLayer):
        super().__init__(OrderedDict(norm=norm_layer(channels)))

    def kernel(self, read: layers.Read = layers.exact) -> tuple[Tensor, Tensor]:
        """The branch as a depthwise 1x1 convolution: weight and bias."""
        scale, shift = layers.norm_affine(self.norm, read)
        identity = kernels.identity_depthwise(len(scale), 1, like=scale)
        return kernels.fuse_conv_bn(identity, torch.zeros_like(shift), scale, shift)


def build_branch(
    branch: Branch, channels: int, norm_layer: NormLayer, dilation: int = 1
) -> ConvBranch | IdentityBranch:
    """The layers of one branch in training form."""
    if branch == IDENTITY:
        return IdentityBranch(channels, norm_layer)
    return ConvBranch(branch, channels, norm_layer, dilation)


class Stem(LiveMerging):
    """Convolution 4x4 with stride 4, batch norm, ReLU."""

    form = TRAINING

    def __init__(self, in_channels: int, channels: int, norm_layer: NormLayer):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 4, stride=4, bias=False)
        self.norm = norm_layer(channels)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, in_channels, H, W)`` to ``(N, C, H // 4, W // 4)``."""
        live = self.live_convs()
        return self.act(live[0](x) if live else self.norm(self.conv(x)))

    def merged_convs(self, read: layers.Read = layers.exact) -> tuple[layers.MergedConv, ...]:
        return (layers.merge_conv_norm(self.conv, self.norm, read),)

    @renamed_argument('mode', 'form')
    def merged(self, form: str) -> nn.Module:
        conv = self.merged_convs()[0].build()
        return ConvSequential(OrderedDict(conv=conv, act=nn.ReLU())).eval()


class Downsample(nn.Sequential, LiveMerging):
    """Batch norm, convolution 2x2 with stride 2, ReLU.

    With stride 1 the last rows and columns are repeated behind the batch norm, so that the size stays;
    repeating commutes with the batch norm, and zeros would not.

    Args:
        in_channels: Channels in.
        channels: Channels out.
        norm_layer: Builds a normalization layer for a number of channels.
        stride: 2, or 1 to keep the size.
        dilation: Of the convolution.
    """

    form = TRAINING
    conv: nn.Conv2d
    norm: nn.Module
    act: nn.ReLU

    def __init__(
        self,
        in_channels: int,
        channels: int,
        norm_layer: NormLayer,
        stride: int = 2,
        dilation: int = 1,
    ):
        norm = norm_layer(in_channels)
        conv = nn.Conv2d(in_channels, channels, 2, stride, dilation=dilation, bias=False)
        super().__init__(OrderedDict(norm=norm, **_size_keeping(conv), conv=conv, act=nn.ReLU()))

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C_in, H, W)`` to ``(N, C, H // stride, W // stride)``."""
        if live := self.live_convs():
            kept = self.get_submodule('pad')(x) if 'pad' in self._modules else x
            return self.act(live[0](kept))
        return super().forward(x)

    def merged_convs(self, read: layers.Read = layers.exact) -> tuple[layers.MergedConv, ...]:
        return (layers.merge_norm_conv(self.norm, self.conv, read=read),)

    @renamed_argument('mode', 'form')
    def merged(self, form: str) -> nn.Module:
        conv = self.merged_convs()[0].build()
        return ConvSequential(OrderedDict(**_size_keeping(conv), conv=conv, act=nn.ReLU())).eval()


def _size_keeping(conv: nn.Conv2d) -> dict[str, nn.Module]:
    """The layer before a 2x2 convolution with which it keeps height and width; none with stride 2."""
    height, width = conv.dilation
    return {} if conv.stride != (1, 1) else dict(pad=nn.ReplicationPad2d((0, width, 0, height)))


class RepUnit(nn.Module):
    """A sum of depthwise branches, each followed by its own batch norm.

    Args:
        branches: The parallel branches, the first of them a convolution.
        channels: Channels in and out.
        norm_layer: Builds a normalization layer for a number of channels.
        dilation: By which those of the branches are multiplied.
    """

    def __init__(
        self,
        branches: tuple[Branch, ...],
        channels: int,
        norm_layer: NormLayer,
        dilation: int = 1,
    ):
        super().__init__()
        self.dilation = dilation
        self.branches = nn.ModuleList(
            build_branch(branch, channels, norm_layer, dilation) for branch in branches
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C, H, W)`` to ``(N, C, H, W)``."""
        return sum(branch(x) for branch in self.branches)

    def merged(self, read: layers.Read = layers.exact) -> layers.MergedConv:
        """The unit as one depthwise 7x7 convolution with bias."""
        branches: list[ConvBranch | IdentityBranch] = list(self.branches)  # type: ignore[arg-type]
        small = [branch.kernel(read) for branch in branches]
        padded = [(kernels.pad_kernel(weight, UNIT_SIZE), bias) for weight, bias in small]
        weight, bias = kernels.merge_parallel(padded)
        first = cast(ConvBranch, branches[0]).conv
        geometry = dict(padding=self.dilation * (UNIT_SIZE // 2), dilation=self.dilation)
        return layers.MergedConv(weight, bias, first, (self,), geometry)


class Block(LiveMerging, ResidualBlock):
    """``relu(x + project(relu(expand(token_mixer(x)))))``; its input is never negative.

    Args:
        token_mixer: A :class:`RepUnit`, or the convolution that one was merged to.
        expand: 1x1 convolution, C to 4C.
        project: 1x1 convolution, 4C to C.
        drop_path_rate: Stochastic depth of the branch, between 0 and 1.
    """

    def __init__(
        self,
        token_mixer: RepUnit | nn.Conv2d,
        expand: nn.Conv2d,
        project: nn.Conv2d,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.token_mixer = token_mixer
        self.expand = expand
        self.act = nn.ReLU()
        self.project = project
        self.drop_path = StochasticDepth(drop_path_rate, 'row') if drop_path_rate else nn.Identity()

    @property
    def form(self) -> str:
        return TRAINING if isinstance(self.token_mixer, RepUnit) else 'fused'

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C, H, W)`` to ``(N, C, H, W)``."""
        if self.form != TRAINING:
            return self.forward_merged(x)
        live = self.live_convs()
        token_mixer: layers.Convolution = live[0] if live else self.token_mixer
        y = self.project(self.act(self.expand(token_mixer(x))))
        return self.act(x + self.drop_path(y))

    def forward_merged(self, x: Tensor, overwrite: bool = False) -> Tensor:
        y = conv_act(conv_act(x, self.token_mixer), self.expand, self.act)
        return conv_add(y, self.project, x, self.act, overwrite)

    def merged_convs(self, read: layers.Read = layers.exact) -> tuple[layers.MergedConv, ...]:
        return (cast(RepUnit, self.token_mixer).merged(read),)

    @renamed_argument('mode', 'form')
    def merged(self, form: str) -> nn.Module:
        mixer = self.token_mixer
        if isinstance(mixer, RepUnit):
            mixer = mixer.merged().build()
        if form == 'plain':
            return PlainBlock.from_residual(mixer, self.expand, self.project)
        return Block(mixer, self.expand, self.project).eval()


def build_block(
    branches: tuple[Branch, ...],
    channels: int,
    drop_path_rate: float,
    norm_layer: NormLayer,
    hidden_channels: int | None = None,
    dilation: int = 1,
) -> Block:
    """A block in training form."""
    hidden = hidden_channels or EXPANSION * channels
    return Block(
        RepUnit(branches, channels, norm_layer, dilation),
        nn.Conv2d(channels, hidden, 1, bias=False),
        nn.Conv2d(hidden, channels, 1, bias=False),
        drop_path_rate,
    )


def initialize(layer: nn.Module) -> None:
    """As the field initializes networks of ConvNeXt's shape: normal, of deviation 0.02."""
    if isinstance(layer, nn.Conv2d):
        nn.init.trunc_normal_(layer.weight, std=0.02)
        zero_bias(layer)
    initialize_norm(layer)


def family(branches: tuple[Branch, ...]) -> Family:
    """RepNeXt-T with the given RepUnit."""
    return Family(
        Stem,
        Downsample,
        partial(build_block, branches),
        LinearHead,
        initialize,
        build_plain_block=PlainBlock.of_widths,
    )
