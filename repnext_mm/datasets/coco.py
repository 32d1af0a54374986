"""Annotations in COCO's format, written, and objects cut to parts of their images."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from repnext_mm.datasets.annotations import ImageSize, Instance


class CocoWriter:
    """Collects images and their objects for one annotation file.

    Args:
        minimum_area: Pixels that an object needs; those with less do not count.
    """

    def __init__(self, minimum_area: float = 0) -> None:
        self.minimum_area = minimum_area
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, name: str, size: ImageSize, instances: Iterable[Instance]) -> None:
        """Adds an image and its objects.

        Args:
            name: Of its file, relative to the folder of the images.
            size: Of the image.
            instances: What is on it.
        """
        number = len(self.images) + 1
        height, width = size
        self.images.append(dict(id=number, file_name=name, height=height, width=width))
        for instance in instances:
            shape = encode(instance, size)
            if shape['area'] < self.minimum_area:
                continue
            self.annotations.append(
                dict(
                    id=len(self.annotations) + 1,
                    image_id=number,
                    label=instance.label,
                    **shape,
                    iscrowd=int(instance.crowd),
                )
            )

    def as_dict(self, classes: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """What a COCO annotation file contains.

        Args:
            classes: Names of all classes, in the order of the labels that a detector will learn.
        """
        numbers = {name: number for number, name in enumerate(classes, 1)}
        annotations = [
            {key: value for key, value in entry.items() if key != 'label'}
            | dict(category_id=numbers[entry['label']])
            for entry in self.annotations
        ]
        categories = [dict(id=number, name=name) for name, number in numbers.items()]
        return dict(images=self.images, annotations=annotations, categories=categories)


def encode(instance: Instance, size: ImageSize) -> dict[str, Any]:
    """The entries ``bbox`` and ``area`` of COCO, and ``segmentation`` unless there is only a box.

    Masks become run lengths, polygons stay what they are; boxes are cut at the border of the image.
    """
    if instance.mask is not None:
        runs = coco_mask.encode(np.asfortranarray(instance.mask, dtype=np.uint8))
        counts = dict(size=list(size), counts=runs['counts'].decode())
        area = int(instance.mask.sum())
        return dict(segmentation=counts, bbox=coco_mask.toBbox(runs).tolist(), area=area)
    if instance.polygons:
        polygons = [list(polygon) for polygon in instance.polygons]
        runs = coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
        corners = np.concatenate(polygons).reshape(-1, 2)
        box = _clipped((*corners.min(0), *corners.max(0)), size)
        return dict(segmentation=polygons, bbox=box, area=int(coco_mask.area(runs)))
    assert instance.box is not None
    box = _clipped(instance.box, size)
    return dict(bbox=box, area=box[2] * box[3])


def _clipped(box: Sequence[float], size: ImageSize) -> list[float]:
    """COCO's x, y, width, height of the part of a box that is in the image, to a thousandth."""
    height, width = size
    limits = [width, height, width, height]
    left, top, right, bottom = np.clip(np.array(box, np.float64), 0, limits)
    return [round(float(value), 3) for value in (left, top, right - left, bottom - top)]


def cut(
    instances: Iterable[Instance], size: ImageSize, part: tuple[slice, slice]
) -> list[Instance]:
    """The objects of an image as they are in a part of it, those that are not in it left out.

    Args:
        instances: Objects of the whole image.
        size: Of the whole image.
        part: Rows and columns.
    """
    rows, columns = part
    found = []
    for instance in instances:
        mask = mask_of(instance, size)
        if mask is not None:
            inside = mask[rows, columns]
            if inside.any():
                found.append(Instance(instance.label, mask=inside, crowd=instance.crowd))
            continue
        assert instance.box is not None
        limits = [columns.start, rows.start, columns.stop, rows.stop]
        box = np.clip(instance.box, limits[:2] * 2, limits[2:] * 2) - np.array(limits[:2] * 2)
        if (box[2:] > box[:2]).all():
            found.append(instance._replace(box=tuple(box.tolist())))
    return found


def mask_of(instance: Instance, size: ImageSize) -> np.ndarray | None:
    """The pixels ``(H, W)`` of an object, bool; None if it has but a box."""
    if instance.polygons:
        polygons = [list(polygon) for polygon in instance.polygons]
        runs = coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
        return coco_mask.decode(runs).astype(bool)
    return instance.mask
