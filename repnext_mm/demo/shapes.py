"""A generated dataset for instance and semantic segmentation, in COCO's and ADE20K's formats.

It uses all of COCO's format: polygons in one and in several parts, compressed and
uncompressed RLE, holes, crowds, occlusion, images without annotations; and of ADE20K's:
PNG labels that count from 1, with 0 for pixels of no class, here the crowds. Every image
follows from the seed and its number alone.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from repnext_mm.files import draft_folder

CLASSES = ('disk', 'box', 'triangle', 'star', 'ring')
SEMANTIC_CLASSES = ('ground', *CLASSES)
LABEL_FOLDERS = {'train': 'training', 'val': 'validation'}
SIZE = 128
MIN_RADIUS, MAX_RADIUS = 12, 34
MAX_SHAPES = 4
EMPTY_SHARE, CROWD_SHARE, UNCOMPRESSED_SHARE = 0.04, 0.08, 0.25
MAX_COVERED = 0.4
"""How much of a shape the ones in front of it may hide."""


def generate_shapes(root: str | Path, train: int = 400, val: int = 100, seed: int = 0) -> Path:
    """Writes a dataset below ``root``, or nothing at all.

    Images are in ``train/`` and ``val/``; ``annotations/`` holds COCO's
    ``instances_train.json`` and ``instances_val.json``, and ADE20K's ``training/`` and
    ``validation/`` with one PNG of labels for each image: 1 to 6 for
    :data:`SEMANTIC_CLASSES`, 0 for none (``reduce_zero_label=True``).

    A folder that already holds the same dataset is left as it is.

    Args:
        root: Folder to create.
        train: Number of training images, 128x128 PNG.
        val: Number of held-out images.
        seed: Another seed gives another dataset.

    Returns:
        ``root`` as a path.

    Raises:
        ValueError: If a number of images is not positive.
        FileExistsError: If ``root`` holds something else.
    """
    root = Path(root)
    if min(train, val) < 1:
        raise ValueError(f'train and val must be positive, got {train} and {val}')
    recipe = {'generator': 'shapes', 'version': 2, 'train': train, 'val': val, 'seed': seed}
    if _is_there(root, recipe):
        return root

    root.parent.mkdir(parents=True, exist_ok=True)
    with draft_folder(root.parent) as scratch:
        draft = scratch / 'shapes'
        for split, first, count in (('train', 0, train), ('val', train, val)):
            _write_split(draft, split, range(first, first + count), seed)
        (draft / 'recipe.json').write_text(json.dumps(recipe))
        if root.exists():
            root.rmdir()
        shutil.move(os.fspath(draft), root)
    return root


def _is_there(root: Path, recipe: dict) -> bool:
    """Whether a folder holds the dataset of a recipe; raises if it holds anything else."""
    if (root / 'recipe.json').is_file():
        if json.loads((root / 'recipe.json').read_text()) == recipe:
            return True
        raise FileExistsError(
            f'{root} holds a dataset made otherwise: remove it, or choose another'
        )
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(f'{root} is not empty: remove it, or choose another folder')
    return False


def _write_split(root: Path, split: str, numbers: range, seed: int) -> None:
    labels_folder = root / 'annotations' / LABEL_FOLDERS[split]
    for folder in (root / split, labels_folder):
        folder.mkdir(parents=True)
    images: list[dict] = []
    annotations: list[dict] = []
    for number in numbers:
        image, instances, labels = draw_scene(np.random.default_rng([seed, number]))
        name = f'{number:06d}.png'
        _write_png(root / split / name, image)
        _write_png(labels_folder / name, labels)
        images.append(dict(id=number, file_name=name, height=SIZE, width=SIZE))
        for instance in instances:
            annotations.append(dict(id=len(annotations) + 1, image_id=number, **instance))
    categories = [dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)]
    content = dict(images=images, annotations=annotations, categories=categories)
    (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(content))


def _write_png(path: Path, pixels: np.ndarray) -> None:
    """Writes an image, or raises: OpenCV's own writer takes a full disk for success."""
    _, content = cv2.imencode('.png', pixels)
    path.write_bytes(content.tobytes())


def draw_scene(rng: np.random.Generator) -> tuple[np.ndarray, list[dict], np.ndarray]:
    """Draws one image.

    Returns:
        The image, ``(128, 128, 3)`` uint8 in BGR order; COCO annotations without ids;
        and ADE20K's labels, ``(128, 128)`` uint8.
    """
    image = _background(rng)
    labels = np.ones((SIZE, SIZE), np.uint8)
    if rng.random() < EMPTY_SHARE:
        return image, [], labels
    shapes: list[tuple[int, np.ndarray]] = []
    for _ in range(rng.integers(1, MAX_SHAPES + 1)):
        category = int(rng.integers(len(CLASSES)))
        mask = _draw_shape(rng, category)
        if all((other & mask).sum() <= MAX_COVERED * other.sum() for _, other in shapes):
            shapes = [(c, other & ~mask) for c, other in shapes]
            shapes.append((category, mask))
            _paint(rng, image, mask)
    for category, mask in shapes:
        labels[mask] = category + 2
    annotations = [_annotate(rng, category, mask) for category, mask in shapes]
    if rng.random() < CROWD_SHARE:
        crowd = _draw_crowd(rng) & ~np.any([mask for _, mask in shapes], axis=0)
        if crowd.any():
            _paint(rng, image, crowd)
            labels[crowd] = 0
            annotations.append(_annotate(rng, 0, crowd, crowd=True))
    return image, annotations, labels


def _background(rng: np.random.Generator) -> np.ndarray:
    """A gradient between two colours, with stripes or without, and noise."""
    ys, xs = np.mgrid[:SIZE, :SIZE] / SIZE
    angle, phase = rng.uniform(0, 2 * np.pi, 2)
    ramp = xs * np.cos(angle) + ys * np.sin(angle)
    if rng.random() < 0.5:
        ramp = ramp + 0.3 * np.sin(ramp * rng.uniform(10, 40) + phase)
    colours = rng.uniform(40, 160, (2, 3))
    image = colours[0] + np.clip(ramp, 0, 1)[..., None] * (colours[1] - colours[0])
    return np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)


def _polygon(rng: np.random.Generator, radii: list[float]) -> np.ndarray:
    """A filled polygon whose corners lie at these distances round a random centre."""
    radius = rng.uniform(MIN_RADIUS, MAX_RADIUS)
    centre = rng.uniform(0.6 * radius, SIZE - 0.6 * radius, 2)
    angles = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(len(radii)) / len(radii)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    corners = centre + radius * np.asarray(radii)[:, None] * directions
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(mask, [corners.round().astype(np.int32)], 1)
    return mask.astype(bool)


def _ring(rng: np.random.Generator) -> np.ndarray:
    disk = _polygon(rng, [1.0] * 48)
    distance = cv2.distanceTransform(disk.astype(np.uint8), cv2.DIST_L2, 5)
    return disk & (distance < 0.45 * distance.max())


SHAPES: tuple[Callable[[np.random.Generator], np.ndarray], ...] = (
    lambda rng: _polygon(rng, [1.0] * 48),
    lambda rng: _polygon(rng, [1.0] * 4),
    lambda rng: _polygon(rng, [1.0] * 3),
    lambda rng: _polygon(rng, [1.0, 0.45] * 5),
    _ring,
)
"""One per class of :data:`CLASSES`."""


def _draw_shape(rng: np.random.Generator, category: int) -> np.ndarray:
    return SHAPES[category](rng)


def _draw_crowd(rng: np.random.Generator) -> np.ndarray:
    """Many small disks in one neighbourhood."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    centre = rng.uniform(25, SIZE - 25, 2)
    for x, y in rng.normal(centre, 9, (9, 2)):
        cv2.circle(mask, (int(x), int(y)), 4, 1, -1)
    return mask.astype(bool)


def _paint(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray) -> None:
    """Fills the mask with a bright colour and grain."""
    colour = rng.uniform(90, 255, 3)
    colour[rng.integers(3)] = rng.uniform(200, 255)
    grain = rng.normal(0, 6, (int(mask.sum()), 3))
    image[mask] = np.clip(colour + grain, 0, 255).astype(np.uint8)


def _annotate(
    rng: np.random.Generator, category: int, mask: np.ndarray, crowd: bool = False
) -> dict:
    """A COCO annotation; box and area are those of the encoded segmentation."""
    segmentation = _encode(rng, mask, crowd)
    rle = segmentation
    if isinstance(segmentation, list):
        rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, SIZE, SIZE))
    elif isinstance(segmentation['counts'], list):
        rle = coco_mask.frPyObjects(segmentation, SIZE, SIZE)
    return dict(
        category_id=category + 1,
        segmentation=segmentation,
        bbox=coco_mask.toBbox(rle).tolist(),
        area=float(coco_mask.area(rle)),
        iscrowd=int(crowd),
    )


def _encode(rng: np.random.Generator, mask: np.ndarray, crowd: bool) -> list | dict:
    """Polygons where the mask has no hole; else RLE, which crowds must have."""
    contours, hierarchy = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    polygons = [c.reshape(-1).astype(float).tolist() for c in contours if len(c) >= 3]
    has_hole = bool((hierarchy[0, :, 3] >= 0).any())
    if polygons and not (crowd or has_hole):
        return polygons
    if crowd or rng.random() < UNCOMPRESSED_SHARE:
        flat = mask.flatten(order='F')
        edges = np.flatnonzero(np.diff(flat)) + 1
        counts = np.diff([0, *edges, flat.size]).tolist()
        return dict(size=[SIZE, SIZE], counts=counts if not flat[0] else [0, *counts])
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return dict(size=[SIZE, SIZE], counts=rle['counts'].decode())
