"""Boxes of a batch that are no boxes, by image and number, before a network gets them."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def samples_of(batch: object) -> Iterator[Any]:
    """Lists what has ``metainfo`` in a batch, as the data loader gives it, to any depth."""
    if isinstance(getattr(batch, 'metainfo', None), Mapping):
        yield batch
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from samples_of(value)
    elif isinstance(batch, list | tuple):
        for value in batch:
            yield from samples_of(value)


def image_name(sample: Any) -> str:
    """The path of a sample's image; empty if it has none."""
    return str(sample.metainfo.get('img_path') or sample.metainfo.get('ori_filename') or '')


def broken_box(batch: object) -> str | None:
    """Says which annotated box of a batch is not finite, and on which image.

    Such a box can end the process in RoIAlign, whose compiled forms do not look at it. Boxes that
    are not on the CPU are left out, so that nothing waits for a device.

    Args:
        batch: As the data loader gives it.

    Returns:
        A clause about the first one; None if all are finite.
    """
    for sample in samples_of(batch):
        boxes = getattr(getattr(sample, 'gt_instances', None), 'bboxes', None)
        boxes = getattr(boxes, 'tensor', boxes)  # mmdet's HorizontalBoxes
        if not isinstance(boxes, Tensor) or boxes.device.type != 'cpu':
            continue
        bad = ~torch.isfinite(boxes).flatten(1).all(1)
        if bad.any():
            row = int(bad.nonzero()[0])
            labels = getattr(sample.gt_instances, 'labels', None)
            of_class = f' of class number {int(labels[row])}' if labels is not None else ''
            return (
                f'annotation {row} of the {len(boxes)} on {image_name(sample) or "an image"}{of_class} '
                f'has a box that is not finite, x1, y1, x2, y2 = {boxes[row].tolist()}'
            )
    return None
