"""The strides of a network's stages, and the dilation that takes the place of those left out.

A stage that does not halve the resolution reads its input with dilation, so that each of its
outputs sees what it saw before: at every second pixel the dilated network computes what the
published one computes (DeepLab, arXiv 1606.00915, section 3.1, "atrous convolution").
"""

from collections.abc import Iterator
from typing import NamedTuple

STEM_STRIDE = 4
OUTPUT_STRIDES = (8, 16, 32)
"""What a user can ask for."""


class StageGeometry(NamedTuple):
    """How a stage reads its input."""

    output_stride: int
    """Pixels of the image per pixel of its feature map, along each axis."""

    entry_stride: int
    """Stride of its downsampling layer: 2, or 1; of the first stage, which has none, 1."""

    entry_dilation: int
    """Dilation of its downsampling layer."""

    dilation: int
    """Dilation of its blocks, on top of that which some of their branches have anyway."""


def stage_geometries(stages: int, output_stride: int | None) -> Iterator[StageGeometry]:
    """The geometry of all stages.

    Args:
        stages: Their number.
        output_stride: The largest stride; None for that of the network, which halves the
            resolution before each stage but the first.
    """
    previous, dilation = STEM_STRIDE, 1
    for stage in range(stages):
        own = STEM_STRIDE * 2**stage
        stride = min(own, output_stride or own)
        yield StageGeometry(stride, stride // previous, dilation, own // stride)
        previous, dilation = stride, own // stride


def check_output_stride(output_stride: int | None) -> None:
    """Makes sure that networks of any number of stages can have this largest stride.

    Raises:
        ValueError: If it is none of :data:`OUTPUT_STRIDES`, nor None.
    """
    whole = isinstance(output_stride, int) and not isinstance(output_stride, bool)
    if output_stride is not None and not (whole and output_stride in OUTPUT_STRIDES):
        raise ValueError(
            f'output_stride must be one of {OUTPUT_STRIDES}, the largest stride of a feature map, '
            f'or None for the published one, got {output_stride!r}'
        )
