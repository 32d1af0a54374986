"""The token mixers of RepNeXt-M: multi-scale depthwise convolutions.

In training form the small and the medium one are sums of parallel branches, some of
them two convolutions in series (arXiv 2406.16004, "serial and parallel structural
reparameterization"); merged, each is one convolution. Modules have the official names.
"""

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from repnext_mm.reparam import kernels, layers
from repnext_mm.reparam.primitives import ConvSequential, conv_act

CHUNKS = 4
SMALL_SIZE = 3
MEDIUM_SIZE = 7
LARGE_SIZE = 11
CORNERS_DILATION = 2
"""Of the 2x2 convolution of S, which reads the corners of a 3x3 one."""


def depthwise(
    channels: int,
    size: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    dilation: int = 1,
    bias: bool = True,
) -> nn.Conv2d:
    """A depthwise convolution that keeps height and width, or halves them with stride 2."""
    height, width = size
    padding = dilation * (height - 1) // 2, dilation * (width - 1) // 2
    return nn.Conv2d(
        channels, channels, size, stride, padding, dilation, groups=channels, bias=bias
    )


class SmallMixer(nn.Module):
    """Depthwise 3x3, 1x3, 3x1 and dilated 2x2, summed (S).

    Args:
        channels: Channels in and out.
        stride: 2 halves height and width.
        dilation: By which those of the convolutions are multiplied.
        serial: Whether the 1x3 and the 3x1 work in series and without bias, as in downsampling
            layers.
    """

    def __init__(self, channels: int, stride: int = 1, dilation: int = 1, serial: bool = False):
        super().__init__()
        self.serial = serial
        bias, both = not serial, (stride, stride)
        across, down = ((1, stride), (stride, 1)) if serial else (both, both)
        self.conv_3_3 = depthwise(channels, (3, 3), both, dilation)
        self.conv_3_w = depthwise(channels, (1, 3), across, dilation, bias)
        self.conv_3_h = depthwise(channels, (3, 1), down, dilation, bias)
        self.conv_2_2 = depthwise(channels, (2, 2), both, CORNERS_DILATION * dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C, H, W)`` to ``(N, C, H / stride, W / stride)``, rounded up."""
        y = self.conv_3_w(x)
        y = self.conv_3_h(y) if self.serial else y + self.conv_3_h(x)
        return self.conv_3_3(x) + y + self.conv_2_2(x)

    def kernel(self, read: layers.Read = layers.exact) -> tuple[Tensor, Tensor]:
        """The mixer as one depthwise 3x3 convolution of its dilation: weight and bias."""
        if self.serial:
            lines = [layers.compose_convs(self.conv_3_w, self.conv_3_h, read)]
        else:
            lines = [layers.conv_weights(conv, read) for conv in (self.conv_3_w, self.conv_3_h)]
        weight, bias = layers.conv_weights(self.conv_2_2, read)
        corners = kernels.dilated_to_dense(weight, CORNERS_DILATION), bias
        square = layers.conv_weights(self.conv_3_3, read)
        return merge_centred([square, *lines, corners], SMALL_SIZE)


class MediumMixer(nn.Module):
    """Depthwise 7x7, 5x3, 3x5, 1x7 then 7x1, and 1x5 then 5x1, summed (M).

    Args:
        channels: Channels in and out.
        stride: 2 halves height and width.
        dilation: Of all convolutions.
    """

    def __init__(self, channels: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        both, wide, high = (stride, stride), (1, stride), (stride, 1)
        self.conv_7_7 = depthwise(channels, (7, 7), both, dilation)
        self.conv_5_3 = depthwise(channels, (5, 3), both, dilation)
        self.conv_3_5 = depthwise(channels, (3, 5), both, dilation)
        self.conv_7_w = depthwise(channels, (1, 7), wide, dilation, bias=False)
        self.conv_7_h = depthwise(channels, (7, 1), high, dilation, bias=False)
        self.conv_5_w = depthwise(channels, (1, 5), wide, dilation, bias=False)
        self.conv_5_h = depthwise(channels, (5, 1), high, dilation, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C, H, W)`` to ``(N, C, H / stride, W / stride)``, rounded up."""
        parallel = self.conv_7_7(x) + self.conv_5_3(x) + self.conv_3_5(x)
        return parallel + self.conv_7_h(self.conv_7_w(x)) + self.conv_5_h(self.conv_5_w(x))

    def kernel(self, read: layers.Read = layers.exact) -> tuple[Tensor, Tensor]:
        """The mixer as one depthwise 7x7 convolution of its dilation: weight and bias."""
        parallel = [
            layers.conv_weights(conv, read)
            for conv in (self.conv_7_7, self.conv_5_3, self.conv_3_5)
        ]
        serial = [
            layers.compose_convs(row, column, read)
            for row, column in ((self.conv_7_w, self.conv_7_h), (self.conv_5_w, self.conv_5_h))
        ]
        return merge_centred([*parallel, *serial], MEDIUM_SIZE)


def merge_centred(branches: list[tuple[Tensor, Tensor]], size: int) -> tuple[Tensor, Tensor]:
    """The sum of depthwise convolutions of odd sizes as one of ``size x size``."""
    return kernels.merge_parallel(
        [(kernels.pad_kernel(weight, size), bias) for weight, bias in branches]
    )


class ChunkConv(nn.Module):
    """Token mixer of a block: a quarter of the channels each for identity, S, M and L.

    L is a 1x11 and then an 11x1 convolution, and stays a pair when merged: the bias of
    the first meets the zero padding of the second, so no single 11x11 kernel is right
    at the border of the image.

    Args:
        channels: Channels in and out.
        dilation: By which those of the convolutions are multiplied.
    """

    def __init__(self, channels: int, dilation: int = 1):
        super().__init__()
        if channels % CHUNKS:
            raise ValueError(f'RepNeXt-M needs channels divisible by {CHUNKS}, got {channels}')
        chunk = channels // CHUNKS
        self.conv_s = SmallMixer(chunk, dilation=dilation)
        self.conv_m = MediumMixer(chunk, dilation=dilation)
        self.conv_l = nn.Sequential(
            depthwise(chunk, (1, LARGE_SIZE), dilation=dilation),
            depthwise(chunk, (LARGE_SIZE, 1), dilation=dilation),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C, H, W)`` to ``(N, C, H, W)``."""
        same, small, medium, large = x.chunk(CHUNKS, dim=1)
        mixed = self.conv_s(small), self.conv_m(medium), self.conv_l(large)
        return torch.cat((same, *mixed), dim=1)

    def mix(self, x: Tensor, conv_sm: layers.Convolution) -> Tensor:
        """The forward pass with one convolution for S and M; see :meth:`merged_conv`."""
        chunk = self.conv_m.conv_7_7.in_channels
        return mix_merged(x, (chunk, 2 * chunk, chunk), conv_sm, self.conv_l)

    def merged_conv(self, read: layers.Read = layers.exact) -> layers.MergedConv:
        """S and M as one convolution of half of the channels."""
        small, small_bias = self.conv_s.kernel(read)
        medium, medium_bias = self.conv_m.kernel(read)
        weight = torch.cat((kernels.pad_kernel(small, MEDIUM_SIZE), medium))
        bias = torch.cat((small_bias, medium_bias))
        sources = self.conv_s, self.conv_m
        geometry = dict(groups=len(weight))
        return layers.MergedConv(weight, bias, self.conv_m.conv_7_7, sources, geometry)

    def convs_and_channels(self) -> Iterator[tuple[nn.Conv2d, range]]:
        """Its convolutions, each with the channels of the input that it reads, and writes."""
        chunk = self.conv_m.conv_7_7.in_channels
        for number, mixer in enumerate((self.conv_s, self.conv_m, self.conv_l), start=1):
            for conv in mixer.modules():
                if isinstance(conv, nn.Conv2d):
                    yield conv, range(number * chunk, (number + 1) * chunk)

    def merged(self) -> 'MergedChunkConv':
        """The token mixer with S and M as one convolution."""
        return MergedChunkConv(self.merged_conv().build(), ConvSequential(*self.conv_l))


class MergedChunkConv(nn.Module):
    """:class:`ChunkConv` with one depthwise 7x7 convolution for S and M together.

    Args:
        conv_sm: Depthwise convolution of half of the channels; the kernels of S are
            padded with zeros.
        conv_l: The two convolutions of L.
    """

    def __init__(self, conv_sm: nn.Conv2d, conv_l: nn.Sequential):
        super().__init__()
        self.conv_sm = conv_sm
        self.conv_l = conv_l
        half = conv_sm.out_channels
        self.sizes = (half // 2, half, half // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C, H, W)`` to ``(N, C, H, W)``."""
        return mix_merged(x, self.sizes, self.conv_sm, self.conv_l)


def mix_merged(
    x: Tensor, sizes: tuple[int, int, int], conv_sm: layers.Convolution, conv_l: layers.Convolution
) -> Tensor:
    """Mixes ``(N, C, H, W)`` as :class:`MergedChunkConv` does, whose parts the arguments are."""
    same, small_and_medium, large = x.split(sizes, dim=1)
    return torch.cat((same, conv_act(small_and_medium, conv_sm), conv_l(large)), dim=1)


class CopyConv(nn.Module):
    """Token mixer of a downsampling layer: S and M of all channels, both with its stride.

    Args:
        conv_s: S, or the convolution that it was merged to.
        conv_m: M, or the convolution that it was merged to.
    """

    def __init__(self, conv_s: nn.Module, conv_m: nn.Module):
        super().__init__()
        self.conv_s = conv_s
        self.conv_m = conv_m

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(N, C, H, W)`` to ``(N, 2C, H / stride, W / stride)``, rounded up."""
        return torch.cat((conv_act(x, self.conv_s), conv_act(x, self.conv_m)), dim=1)

    def merged_convs(
        self, norm: nn.Module, read: layers.Read = layers.exact
    ) -> tuple[layers.MergedConv, layers.MergedConv]:
        """``norm(self(x))`` as two convolutions, of which each makes half of the channels."""
        scales, shifts = (affine.chunk(2) for affine in layers.norm_affine(norm, read))
        small, medium = cast(SmallMixer, self.conv_s), cast(MediumMixer, self.conv_m)
        fused_small = kernels.fuse_conv_bn(*small.kernel(read), scales[0], shifts[0])
        fused_medium = kernels.fuse_conv_bn(*medium.kernel(read), scales[1], shifts[1])
        return (
            layers.MergedConv(*fused_small, small.conv_3_3, (small, norm)),
            layers.MergedConv(*fused_medium, medium.conv_7_7, (medium, norm)),
        )
