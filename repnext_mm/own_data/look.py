"""Facts of a data set of objects, and where its files lie."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from repnext_mm.own_data.coco_file import CONVERT, read_coco


class CocoSplit(NamedTuple):
    """Files of a split, relative to the data set."""

    annotations: str
    images: str
    """The folder that the file names count from."""

    size: int
    """Number of images."""


@dataclass(frozen=True)
class InstanceFacts:
    """A data set of objects in COCO's format; sizes are those of its training images."""

    folder: Path
    classes: tuple[str, ...]
    """In the order of the annotation file."""

    splits: dict[str, CocoSplit]
    """``train``, ``val`` and perhaps ``test``."""

    image_sizes: np.ndarray
    """``(N, 2)``: height and width in pixels."""

    object_sizes: np.ndarray
    """``(K,)``: square root of the box's area, divided by the longer side of its image."""

    aspects: np.ndarray
    """``(K,)``: height of the box divided by its width."""

    per_image: np.ndarray
    """``(N,)``: numbers of objects, without crowds."""

    with_masks: bool
    """Whether every object has a segmentation."""

    counts: dict[str, int]
    """Objects by class."""


def look_at_instances(folder: Path) -> InstanceFacts:
    """Reads the annotation files of a data set.

    They are ``annotations/instances_SPLIT*.json``; images lie in ``SPLIT*`` or ``images``.

    Args:
        folder: Of the data set.

    Raises:
        FileNotFoundError: If the training or validation split is not there.
        ValueError: If a file is no COCO annotation file, has no objects, or the splits have
            different classes.
    """
    splits, contents = {}, {}
    for name in ('train', 'val', 'test'):
        files = sorted(folder.glob(f'annotations/instances_{name}*.json'))
        if not files and name != 'test':
            raise FileNotFoundError(
                f'there is no {folder}/annotations/instances_{name}.json: {CONVERT}'
            )
        if files:
            contents[name] = read_coco(files[0])
            splits[name] = _split(folder, files[0], contents[name])
    names = {
        split: tuple(entry['name'] for entry in content['categories'])
        for split, content in contents.items()
    }
    for split, classes in names.items():
        if classes != names['train']:
            raise ValueError(
                f'{folder / splits[split].annotations} has the classes {classes}, and the training '
                f'file {names["train"]}: give both the same, in the same order'
            )
    return _facts(folder, names['train'], splits, contents['train'])


def _split(folder: Path, path: Path, content: dict[str, Any]) -> CocoSplit:
    """Finds the folder of the images, by the first of them."""
    if not content['images']:
        raise ValueError(f'{path} names no images: give it some, or remove it')
    name = content['images'][0]['file_name']
    stem = path.stem.removeprefix('instances_')
    for place in (stem, f'images/{stem}', 'images', '.'):
        if (folder / place / name).is_file():
            relative = path.relative_to(folder).as_posix()
            return CocoSplit(relative, f'{place}/', len(content['images']))
    raise FileNotFoundError(
        f'{path} names the image {name}, which is neither in {folder / stem} nor in '
        f'{folder / "images"}: put the images there'
    )


def _facts(
    folder: Path, classes: tuple[str, ...], splits: dict[str, CocoSplit], content: dict[str, Any]
) -> InstanceFacts:
    names = {entry['id']: entry['name'] for entry in content['categories']}
    sizes = {entry['id']: (entry['height'], entry['width']) for entry in content['images']}
    objects = [entry for entry in content['annotations'] if not entry.get('iscrowd')]
    if not objects:
        raise ValueError(f'{folder / splits["train"].annotations} has no objects to learn from')
    numbers = Counter(entry['image_id'] for entry in objects)
    boxes = np.array([entry['bbox'][2:] for entry in objects], np.float64).clip(1e-3)
    longer = np.array([max(sizes[entry['image_id']]) for entry in objects])
    return InstanceFacts(
        folder=folder,
        classes=classes,
        splits=splits,
        image_sizes=np.array(list(sizes.values())),
        object_sizes=np.sqrt(boxes.prod(1)) / longer,
        aspects=boxes[:, 1] / boxes[:, 0],
        per_image=np.array([numbers[number] for number in sizes]),
        with_masks=all(entry.get('segmentation') for entry in objects),
        counts=dict.fromkeys(classes, 0) | Counter(names[e['category_id']] for e in objects),
    )
