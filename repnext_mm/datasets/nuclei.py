"""Nuclei of the 2018 Data Science Bowl, with a mask file for each, as COCO annotations.

https://www.kaggle.com/c/data-science-bowl-2018; images BBBC038 of the Broad Bioimage Benchmark
Collection.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image

from repnext_mm.datasets.annotations import size_of
from repnext_mm.datasets.coco import CocoWriter, cut
from repnext_mm.datasets.readers.masks import list_masks
from repnext_mm.datasets.tiles import tiles_of
from repnext_mm.files import write_text

VAL_SHARE = 8
"""One in so many images is for validation."""

CLASS = 'nucleus'

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
    annotations = {split: CocoWriter(MINIMUM_AREA) for split in ('train', 'val')}
    for split in annotations:
        (target / split).mkdir(parents=True)
    for item in list_masks(unpacked / 'nuclei', (CLASS,)).items:
        identity = item.image.stem
        split = split_of(identity)
        with Image.open(item.image) as image:
            pixels = np.array(image.convert('RGB'))
        size = size_of(pixels)
        instances = item.read(size)
        for number, tile in enumerate(tiles_of(size)):
            name = f'{identity[:16]}_{number}.png'
            cropped = pixels[tile]
            Image.fromarray(cropped).save(target / split / name)
            annotations[split].add(name, size_of(cropped), cut(instances, size, tile))
    for split, writer in annotations.items():
        path = target / 'annotations' / f'instances_{split}.json'
        write_text(path, json.dumps(writer.as_dict((CLASS,))))
    return {
        f'{split} {what}': len(getattr(writer, what))
        for split, writer in annotations.items()
        for what in ('images', 'annotations')
    }


def split_of(name: str) -> str:
    """The split of an image in the published tables, by a hash of its ID."""
    digest = hashlib.sha256(name.encode()).digest()
    return 'val' if digest[0] % VAL_SHARE == 0 else 'train'
