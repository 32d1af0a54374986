"""The depth of a layer between stem and head, as ConvNeXt's recipes count it."""

from collections.abc import Sequence

SPLIT_STAGE = 2
"""Index of the long stage, which is split into groups of blocks."""

GROUP_BLOCKS = 3
"""Blocks of such a group."""


def staged_depth(depths: Sequence[int], stage: int | None, block: int = 0) -> tuple[int, int]:
    """Numbers the layers of a network of four stages, as mmpretrain's ConvNeXt does.

    Every stage is one layer (``backbones/convnext.py`` there), except that the third is split
    into groups of three blocks.

    Args:
        depths: Blocks of each stage.
        stage: Index of the stage; None for the stem.
        block: Index in the stage; 0 for the downsampling in front of it.

    Returns:
        ``(depth, number of depths)``: the stem has depth 0, and the last depth is free for what
        follows the network.
    """
    starts = []
    layers = 1
    for index, depth in enumerate(depths):
        starts.append(layers)
        layers += -(-depth // GROUP_BLOCKS) if index == SPLIT_STAGE else 1
    if stage is None:
        return 0, layers + 1
    return starts[stage] + (block // GROUP_BLOCKS if stage == SPLIT_STAGE else 0), layers + 1
