"""Numbers of a data set: images, objects of each class, and object sizes against anchors."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config

from repnext_mm.checks.data import CheckedData
from repnext_mm.checks.findings import Finding

SMALLEST_OVERLAP = 0.3
"""IoU with its best anchor below which mmdet's assigners leave an object out (``min_pos_iou``)."""
TOLERATED = 0.05
"""Share of objects that may be left out so."""


class Split(NamedTuple):
    """Numbers of a dataset."""

    split: str
    source: str
    """Annotation file or folder."""

    images: int
    counts: dict[str, int]
    """By classes: objects, pixels of the label maps that were read, or images."""

    unit: str
    """Of the counts."""


def count_splits(data: CheckedData) -> list[Split]:
    """Counts what the datasets of a config have of each class."""
    splits = []
    for leaf, file in data.files:
        by_name = file.count_by_name()
        counts = {name: by_name.get(name, 0) for name in leaf.classes or by_name}
        splits.append(Split(leaf.split, file.path, len(file.images), counts, 'objects'))
    for maps in data.label_maps:
        pixels = maps.pixels_of_labels()
        names = maps.leaf.classes or tuple(map(str, sorted(pixels)))
        counts = {name: pixels[number] for number, name in enumerate(names)}
        unit = 'pixels' if maps.complete else f'pixels of {len(maps.maps)} label maps'
        splits.append(Split(maps.leaf.split, maps.folder, len(maps.images), counts, unit))
    for folder in data.folders:
        names = folder.classes or tuple(map(str, sorted(folder.counts)))
        counts = {name: folder.counts[number] for number, name in enumerate(names)}
        splits.append(Split(folder.leaf.split, folder.place, len(folder.images), counts, 'images'))
    return splits


def find_anchor_generator(part: Any) -> dict | None:
    """The first config of an anchor generator in a model."""
    if isinstance(part, Mapping):
        if isinstance(part.get('anchor_generator'), Mapping):
            return dict(part['anchor_generator'])
        part = list(part.values())
    if isinstance(part, list | tuple):
        return next((found for inner in part if (found := find_anchor_generator(inner))), None)
    return None


def anchor_shapes(cfg: Config) -> np.ndarray | None:
    """``(A, 2)``: width and height of the model's anchors in pixels; None if it has none."""
    settings = find_anchor_generator(cfg.get('model'))
    if settings is None:
        return None
    from mmdet.registry import TASK_UTILS

    anchors = TASK_UTILS.build(settings).base_anchors
    corners = np.concatenate([level.numpy().reshape(-1, 4) for level in anchors])
    return corners[:, 2:] - corners[:, :2]


def best_overlaps(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """``(N,)``: IoU of each box with the anchor that fits it best, if both had one centre.

    Args:
        boxes: ``(N, 2)``, widths and heights.
        anchors: ``(A, 2)``.
    """
    common = np.minimum(boxes[:, None], anchors[None]).prod(2)
    union = boxes.prod(1)[:, None] + anchors.prod(1)[None] - common
    return (common / union).max(1, initial=0)


def check_anchors(boxes: np.ndarray, anchors: np.ndarray, strides: Sequence[int]) -> list[Finding]:
    """Warns of objects that no anchor fits.

    Args:
        boxes: ``(N, 2)``: widths and heights of objects as the network gets them.
        anchors: ``(A, 2)``.
        strides: Of the anchor generator, the finest first.
    """
    boxes = boxes[(boxes > 0).all(1)]
    if not len(boxes):
        return []
    missed = best_overlaps(boxes, anchors) < SMALLEST_OVERLAP
    if missed.mean() <= TOLERATED:
        return []
    sizes, own = np.sqrt(boxes.prod(1)), np.sqrt(anchors.prod(1))
    low, high = np.percentile(sizes, [10, 90])
    scale = max(1, 2 ** round(float(np.log2(low / strides[0]))))
    return [
        Finding(
            'warning',
            'anchor-sizes',
            'anchor_generator',
            f'no anchor fits {missed.mean():.0%} of the objects: most of them are {low:.0f} to '
            f'{high:.0f} pixels large behind the pipeline (the root of width times height), and '
            f'anchors {own.min():.0f} to {own.max():.0f}',
            f'Resize images to another size, or set scales of the anchor generator, such as '
            f'scales=[{scale}] for its stride of {strides[0]}, or add ratios for long objects',
        )
    ]
