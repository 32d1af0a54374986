"""Which channels of a backbone may be pruned, and which only together."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import nn

from repnext_mm.networks import RepNeXt, layouts
from repnext_mm.networks.family import Divided, Divisible

HIDDEN, ALL = SCOPES = 'hidden', 'all'
"""``'hidden'``: widths that no other layer sees. ``'all'``: those of the stages too."""


class Target(NamedTuple):
    """A convolution whose output channels may be pruned."""

    conv: nn.Conv2d
    chunks: int = 1
    """Parts of equal size into which its channels are split, and which must stay equal."""


def targets_of(backbone: RepNeXt, scope: str) -> Iterator[Target]:
    """Lists the convolutions of which channels may be pruned.

    In training form a stage's blocks are tied together by their residual connections, so the
    stage has one width, which begins in the layer before its blocks; RepNeXt-M's downsampling
    layers tie the stages to each other as well. In the form ``'plain'`` nothing ties the blocks,
    so all widths between them are hidden but the last one of each stage.

    Args:
        backbone: In training form, or in the form ``'plain'`` with divided blocks.
        scope: One of :data:`SCOPES`.
    """
    tied = not is_plain(backbone)
    for index in range(len(backbone.stages)):
        layers = layers_of(backbone, index)
        for layer in layers:
            *hidden, last = dense_convs(layer)
            yield from map(Target, hidden)
            if tied:
                if scope == ALL and layer is layers[0]:
                    yield Target(last, backbone.family.chunks)
            elif scope == ALL or layer is not layers[-1]:
                yield Target(last)


def layers_of(backbone: RepNeXt, stage: int) -> list[nn.Module]:
    """The stem or the downsampling layer, and the blocks behind it, in the order in which they run."""
    layers: Any = backbone.stages[stage]
    return [layers.downsample if stage else backbone.stem, *layers.blocks]


def dense_convs(layer: nn.Module) -> list[nn.Conv2d]:
    """Its convolutions that mix channels, in the order in which they run."""
    return [
        conv
        for conv in layer.modules()
        if isinstance(conv, nn.Conv2d)
        and conv.groups == 1
        and (conv.in_channels, conv.out_channels) != (1, 1)  # which may be depthwise
    ]


def is_plain(backbone: RepNeXt) -> bool:
    """Whether the backbone's blocks have no residual connections; also while they are divided."""
    stages: Any = backbone.stages
    return all(block.form == 'plain' for stage in stages for block in stage.blocks)


def divide_blocks(backbone: RepNeXt) -> None:
    """Replaces blocks, in place, by equal ones through which channels can be followed."""
    stages: Any = backbone.stages
    for stage in stages:
        for index, block in enumerate(stage.blocks):
            if isinstance(block, Divisible):
                stage.blocks[index] = block.divided()


def unite_blocks(backbone: RepNeXt) -> None:
    """The reverse of :func:`divide_blocks`."""
    stages: Any = backbone.stages
    for stage in stages:
        for index, block in enumerate(stage.blocks):
            if isinstance(block, Divided):
                stage.blocks[index] = block.united()


def arch_of(backbone: RepNeXt) -> dict:
    """The arch dict that builds a network of the widths that this one has.

    Args:
        backbone: In training form, or in the form ``'plain'`` with united blocks.

    Returns:
        It has as many stages as are built, and is made of ints, lists and strings.
    """
    count = len(backbone.stages)
    layers = [layers_of(backbone, index) for index in range(count)]
    arch = dict(
        channels=list(layouts.shape_of(backbone.state_dict()).channels),
        depths=list(backbone.depths[:count]),
        variant=variant_of(backbone),
        hidden_channels=[
            [conv.out_channels for layer in stage for conv in dense_convs(layer)[:-1]]
            for stage in layers
        ],
    )
    if is_plain(backbone):
        arch['input_channels'] = [
            [dense_convs(layer)[-1].out_channels for layer in stage[:-1]] for stage in layers
        ]
    return arch


def variant_of(backbone: RepNeXt) -> str:
    """The named architecture whose kind of layers a backbone uses."""
    arch = backbone.arch
    return arch if isinstance(arch, str) else arch.get('variant', 'tiny')
