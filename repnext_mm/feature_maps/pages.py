"""Pages of what a network computes in an image: its stages, the branches of a block, activation."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from repnext_mm.feature_maps.activation import Activation
from repnext_mm.feature_maps.branches import BlockMaps
from repnext_mm.feature_maps.network_image import NetworkImage
from repnext_mm.feature_maps.targets import CamTarget
from repnext_mm.visualization.heat_maps import (
    PanelRow,
    heat,
    over_image,
    page_of,
    panel,
    signed_heat,
    stretched,
)
from repnext_mm.visualization.instances import draw_instances

BOX_COLOUR = (255, 255, 255)
MOST_BOXES = 10
"""Boxes that are drawn on heat maps too; more of them would hide those, and are on the image alone."""


def varied_channels(maps: Tensor, count: int) -> list[int]:
    """The numbers of the channels of ``(C, H, W)`` that differ most over the image, in order."""
    spread = maps.flatten(1).std(1, unbiased=False)
    return sorted(spread.topk(min(count, len(maps))).indices.tolist())


def stage_page(image: NetworkImage, outputs: Mapping[str, Tensor], channels: int) -> np.ndarray:
    """A row for each layer: the mean magnitude of its channels, and those that differ most.

    Each map has colours of its own, from its smallest to its largest value.

    Args:
        image: That the network saw.
        outputs: ``(1, C, H, W)`` by the name of the layer.
        channels: How many to show.
    """
    rows = []
    for name, (maps,) in outputs.items():
        chosen = varied_channels(maps, channels)
        shown = [maps.abs().mean(0), *(maps[number] for number in chosen)]
        pictures = [_cells(heat(stretched(image.on_image(m, False)))) for m in shown]
        captions = ['image', 'mean magnitude', *(f'channel {number}' for number in chosen)]
        size = ' x '.join(map(str, maps.shape))
        rows.append(PanelRow(f'{name}: {size}', [panel(image.pixels), *pictures], captions))
    return page_of(rows)


def branches_page(image: NetworkImage, units: Sequence[BlockMaps], channels: int) -> np.ndarray:
    """Rows of what goes into a unit, what its branches put out, their sum, and the merged convolution.

    In a row all but the input have one scale, from blue below zero to red above it.

    Args:
        image: That the network saw.
        units: Of one block.
        channels: How many of each unit to show.
    """
    rows = []
    for unit in units:
        difference = float((unit.total - unit.merged).abs().max())
        for number in varied_channels(unit.total, channels):
            maps = [*unit.branches.values(), unit.total, unit.merged]
            values = [image.on_image(m[number], False) for m in maps]
            limit = max(float(np.abs(value).max()) for value in values)
            before = image.on_image(unit.inputs[number], False)
            pictures = [signed_heat(before, float(np.abs(before).max()))]
            pictures += [signed_heat(value, limit) for value in values]
            title = (
                f'{unit.name}, channel {number}: up to {limit:.2g}; the sum and the merged convolution '
                f'differ by {difference:.0e} at most'
            )
            captions = ['input', *unit.branches, 'sum', 'merged']
            rows.append(PanelRow(title, [_cells(p) for p in pictures], captions))
    return page_of(rows)


def activation_page(
    activation: Activation, layers: Sequence[str], targets: Sequence[CamTarget | None]
) -> np.ndarray:
    """A row for each target: where its score comes from, as each layer sees it.

    Args:
        activation: Of the network on an image.
        layers: Names.
        targets: What is explained; None for a method that explains no score.
    """
    image = activation.image
    rows = []
    for target in targets:
        boxes = np.zeros((0, 4)) if target is None else target.boxes
        maps = [over_image(image.pixels, activation.map_of(name, target)) for name in layers]
        on_maps = boxes if len(boxes) <= MOST_BOXES else boxes[:0]
        pictures = [_boxed(image.pixels, boxes), *(_boxed(m, on_maps) for m in maps)]
        titled = activation.method + (f': {target.title}' if target else '')
        rows.append(PanelRow(titled, pictures, ['image', *layers]))
    return page_of(rows)


def _cells(picture: np.ndarray) -> np.ndarray:
    return panel(picture, smooth=False)


def _boxed(picture: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """A panel with thin boxes."""
    shown = panel(picture)
    if not len(boxes):
        return shown
    scale = shown.shape[1] / picture.shape[1]
    colours = [BOX_COLOUR] * len(boxes)
    return draw_instances(shown, boxes * scale, [''] * len(boxes), colours, caption_mode='none')
