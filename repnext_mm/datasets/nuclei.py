"""Nuclei of the 2018 Data Science Bowl, with a mask file for each, as COCO annotations.

https://www.kaggle.com/c/data-science-bowl-2018; images BBBC038 of the Broad Bioimage Benchmark
Collection.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from repnext_mm.files import write_text

TILE = 256
"""Pixels of a side of a tile, about: images are cut evenly."""

VAL_SHARE = 8
"""One in so many images is for validation."""

MINIMUM_AREA = 9
"""Pixels that a nucleus needs in a tile."""


def prepare_nuclei(unpacked: Path, target: Path) -> dict[str, int]:
    """Cuts all images into tiles, in RGB, and writes their nuclei as COCO annotations.

    The tiles of an image are all in one split. Nothing is left out but parts of nuclei that are
    smaller than :data:`MINIMUM_AREA`.

    Args:
        unpacked: With ``nuclei/ID/images/ID.png`` and ``nuclei/ID/masks/*.png``.
        target: Gets ``train/``, ``val/`` and ``annotations/instances_SPLIT.json``.

    Returns:
        Numbers of images and nuclei of each split.
    """
    annotations = {split: CocoWriter() for split in ('train', 'val')}
    for split in annotations:
        (target / split).mkdir(parents=True)
    for folder in sorted((unpacked / 'nuclei').iterdir()):
        split = split_of(folder.name)
        with Image.open(folder / 'images' / f'{folder.name}.png') as image:
            pixels = np.array(image.convert('RGB'))
        masks = [read_mask(path) for path in sorted((folder / 'masks').glob('*.png'))]
        for number, (rows, columns) in enumerate(tiles_of(pixels.shape[:2])):
            name = f'{folder.name[:16]}_{number}.png'
            Image.fromarray(pixels[rows, columns]).save(target / split / name)
            annotations[split].add(name, [mask[rows, columns] for mask in masks])
    for split, writer in annotations.items():
        path = target / 'annotations' / f'instances_{split}.json'
        write_text(path, json.dumps(writer.as_dict()))
    return {
        f'{split} {what}': len(writer.as_dict()[what])
        for split, writer in annotations.items()
        for what in ('images', 'annotations')
    }


def split_of(name: str) -> str:
    """The split of an image, by a hash of its ID: it never moves, whatever else is there."""
    digest = hashlib.sha256(name.encode()).digest()
    return 'val' if digest[0] % VAL_SHARE == 0 else 'train'


def tiles_of(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Cuts an image of this height and width evenly into tiles of about :data:`TILE` pixels."""
    edges = []
    for side in shape:
        parts = max(1, round(side / TILE))
        edges.append([round(side * part / parts) for part in range(parts + 1)])
    for top, bottom in zip(edges[0], edges[0][1:], strict=False):
        for left, right in zip(edges[1], edges[1][1:], strict=False):
            yield slice(top, bottom), slice(left, right)


def read_mask(path: Path) -> np.ndarray:
    """A binary mask ``(H, W)`` from a PNG file of any mode."""
    with Image.open(path) as image:
        return np.array(image.convert('L')) > 127


class CocoWriter:
    """Collects images and their objects, all of one class."""

    def __init__(self) -> None:
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def add(self, name: str, masks: list[np.ndarray]) -> None:
        """Adds an image.

        Args:
            name: Of its file.
            masks: ``(H, W)``, bool; those with less than :data:`MINIMUM_AREA` do not count.
        """
        height, width = masks[0].shape
        number = len(self.images) + 1
        self.images.append(dict(id=number, file_name=name, height=height, width=width))
        for mask in masks:
            if mask.sum() < MINIMUM_AREA:
                continue
            encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
            self.annotations.append(
                dict(
                    id=len(self.annotations) + 1,
                    image_id=number,
                    category_id=1,
                    segmentation=dict(size=[height, width], counts=encoded['counts'].decode()),
                    bbox=coco_mask.toBbox(encoded).tolist(),
                    area=int(mask.sum()),
                    iscrowd=0,
                )
            )

    def as_dict(self) -> dict[str, list[dict]]:
        """What a COCO annotation file contains."""
        categories = [dict(id=1, name='nucleus')]
        return dict(images=self.images, annotations=self.annotations, categories=categories)
