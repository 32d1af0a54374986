"""Facts of data sets of label maps, and of folders of classes."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from repnext_mm.datasets.annotations import IMAGE_SUFFIXES, find_images, image_size
from repnext_mm.datasets.classes_file import CLASSES_FILE, Classes, read_classes
from repnext_mm.datasets.label_maps import IGNORED, read_pixels
from repnext_mm.own_data.coco_file import CONVERT

SAMPLE = 200
"""Images that are opened, evenly spread over the data set."""


class ImageFolder(NamedTuple):
    """Images of a split, relative to the data set."""

    images: str
    size: int
    """Number of images."""


@dataclass(frozen=True)
class LabelMapFacts:
    """A data set of label maps; sizes and shares are those of a sample of its training images."""

    folder: Path
    classes: Classes
    splits: dict[str, ImageFolder]
    suffix: str
    """Of all images."""

    image_sizes: np.ndarray
    """``(N, 2)``: height and width in pixels."""

    shares: np.ndarray
    """``(classes,)``: part of the pixels that are not ignored."""

    ignored: float
    """Part of all pixels."""


@dataclass(frozen=True)
class ClassFolderFacts:
    """A data set with a folder of images for each class; sizes are those of a sample."""

    folder: Path
    classes: tuple[str, ...]
    """By name, as mmpretrain numbers them."""

    splits: dict[str, ImageFolder]
    image_sizes: np.ndarray
    """``(N, 2)``: height and width in pixels."""


def look_at_label_maps(folder: Path) -> LabelMapFacts:
    """Looks at ``images/SPLIT``, ``annotations/SPLIT`` and ``classes.txt``.

    Raises:
        FileNotFoundError: If one of them is missing.
        ValueError: If images have several suffixes, or labels are beyond the classes.
    """
    if not (folder / CLASSES_FILE).is_file():
        raise FileNotFoundError(
            f'there is no {folder / CLASSES_FILE}, with the name of a class in each line: write it, or '
            f'{CONVERT}'
        )
    classes = read_classes(folder / CLASSES_FILE)
    images = _split_images(folder, 'images/{}')
    suffixes = {path.suffix for paths in images.values() for path in paths}
    if len(suffixes) > 1:
        raise ValueError(
            f'the images in {folder} have several suffixes, {", ".join(sorted(suffixes))}, and mmseg '
            f'reads one: {CONVERT}'
        )
    sizes, counts = [], np.zeros(IGNORED + 1, np.int64)
    for path in _sample(images['train']):
        sizes.append(image_size(path))
        relative = path.relative_to(folder / 'images').with_suffix('.png')
        counts += _count(folder / 'annotations' / relative, classes)
    known = counts[: len(classes.names)]
    return LabelMapFacts(
        folder,
        classes,
        {split: ImageFolder(f'images/{split}', len(paths)) for split, paths in images.items()},
        suffixes.pop(),
        np.array(sizes),
        known / max(1, known.sum()),
        float(counts[IGNORED] / counts.sum()),
    )


def look_at_class_folders(folder: Path) -> ClassFolderFacts:
    """Looks at ``SPLIT/CLASS`` with images.

    Raises:
        FileNotFoundError: If the training or validation split is missing.
        ValueError: If they have different classes, or fewer than two.
    """
    images = _split_images(folder, '{}')
    classes = {
        split: tuple(sorted({path.relative_to(folder / split).parts[0] for path in paths}))
        for split, paths in images.items()
    }
    if len(classes['train']) < 2 or len(set(classes.values())) > 1:
        raise ValueError(
            f'{folder} needs a folder of images for each of two or more classes, the same in all '
            f'splits; got {classes}'
        )
    sizes = np.array([image_size(path) for path in _sample(images['train'])])
    splits = {split: ImageFolder(split, len(paths)) for split, paths in images.items()}
    return ClassFolderFacts(folder, classes['train'], splits, sizes)


def _split_images(folder: Path, pattern: str) -> dict[str, list[Path]]:
    found = {}
    for split in ('train', 'val', 'test'):
        place = folder / pattern.format(split)
        paths = find_images(place) if place.is_dir() else []
        if not paths and split != 'test':
            raise FileNotFoundError(
                f'there are no images ({", ".join(sorted(IMAGE_SUFFIXES))}) in {place}: put the '
                f'{split} split there, or name another folder with --data; {CONVERT}'
            )
        if paths:
            found[split] = paths
    return found


def _sample(paths: list[Path]) -> list[Path]:
    return paths[:: max(1, len(paths) // SAMPLE)]


def _count(path: Path, classes: Classes) -> np.ndarray:
    """Pixels by label."""
    if not path.is_file():
        raise FileNotFoundError(f'there is no label map {path}: add it, or remove its image')
    labels = read_pixels(path)
    known = {*range(len(classes.names)), IGNORED}
    strange = [int(value) for value in np.unique(labels) if int(value) not in known]
    if labels.ndim != 2 or strange:
        seen = f'the shape {labels.shape}' if labels.ndim != 2 else f'the label {strange[0]}'
        raise ValueError(
            f'{path} has {seen}, and label maps are of one channel with labels 0 to '
            f'{len(classes.names) - 1}, and {IGNORED} for ignored pixels: {CONVERT}'
        )
    return np.bincount(labels.ravel(), minlength=IGNORED + 1)
