"""What a config says of its data, for a file's metadata and for trying the file."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from repnext_mm.export.pipeline import UnsupportedStepError, resize_rules
from repnext_mm.launch.data_checks import check_data
from repnext_mm.runtime.size_rules import apply_rules, read_image

FALLBACK_SHAPE = (512, 512)
POSITIONS = ('detection', 'segmentation')
CAMERA = (480, 640)
"""Height and width of a usual image; its size in the test pipeline is the size to trace with."""


def describe_data(cfg: Config | None, task: str) -> dict[str, Any]:
    """Size rules, class names and palette of a config's test data, as far as it has them."""
    return dict(resize=size_rules(cfg, task), **describe_classes(test_meta(cfg)))


def describe_classes(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Class names and a colour for each, from the metadata of a dataset; None where unknown."""
    classes, palette = meta.get('classes'), meta.get('palette')
    classes = classes if isinstance(classes, list | tuple) else None
    colours = None
    if classes and isinstance(palette, list | tuple) and len(palette) >= len(classes):
        colours = [list(colour) for colour in palette[: len(classes)]]
    return dict(classes=list(classes) if classes else None, palette=colours)


def test_dataset(cfg: Config | None, split: str = 'test') -> dict:
    """The config of a split's innermost dataset, the first of several; empty if there is none."""
    dataset = ((cfg or {}).get(f'{split}_dataloader') or {}).get('dataset') or {}
    while 'dataset' in dataset or dataset.get('datasets'):
        dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
    return dataset


def test_meta(cfg: Config | None) -> dict[str, Any]:
    """Classes and palette: those of the dataset's class, and over them what the config says."""
    dataset = test_dataset(cfg)
    kind = dataset.get('type')
    scope = (cfg or {}).get('default_scope')
    with DATASETS.switch_scope_and_registry(scope) as registry:
        cls = registry.get(kind) if isinstance(kind, str) else kind
    own = BaseDataset._load_metainfo(dataset.get('metainfo'))  # may name files with the classes
    return dict(getattr(cls, 'METAINFO', None) or {}) | dict(own)


def size_rules(cfg: Config | None, task: str) -> list[dict] | None:
    """The size rules of the test pipeline; None, with a warning, if they cannot be read.

    Args:
        cfg: The config; None for none.
        task: What the file is for. Where positions in the image count, nothing may be cropped.
    """
    dataset = test_dataset(cfg)
    if not dataset:
        return None
    try:
        rules = resize_rules(dataset.get('pipeline') or [dict(type='no pipeline at all')])
        if task in POSITIONS and any(rule['type'] == 'center_crop' for rule in rules):
            raise UnsupportedStepError('CenterCrop', f'in {task}')
    except UnsupportedStepError as error:
        print_log(
            f'{error}: the exported file will take images as they are, so prepare them yourself',
            logger='current',
            level=logging.WARNING,
        )
        return None
    return rules


def usual_shape(cfg: Config | None, task: str) -> tuple[int, int]:
    """Height and width that the test pipeline gives an image of 640 x 480 pixels."""
    rules = size_rules(cfg, task)
    if not rules:
        return FALLBACK_SHAPE
    height, width = apply_rules(np.zeros((*CAMERA, 3), np.uint8), rules).image.shape[:2]
    return height, width


def sample_images(cfg: Config | None, shapes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """One image ``(H, W, 3)`` uint8, RGB, of each shape: of the test data, or else generated."""
    found = []
    if test_dataset(cfg):
        try:
            found = list(dataset_images(cfg, 'test', len(shapes)))
        except Exception as error:  # whatever a dataset raises whose files are not there
            print_log(
                f'comparing with generated images, for those of the test data cannot be read: {error}',
                logger='current',
                level=logging.WARNING,
            )
    images = []
    for number, (height, width) in enumerate(shapes):
        image = found[number % len(found)] if found else draw_shapes(height, width, number)
        images.append(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
    return images


def dataset_images(cfg: Config | None, split: str, count: int) -> Iterator[np.ndarray]:
    """The first images of a split, spread evenly over it: ``(H, W, 3)`` uint8, RGB.

    Raises:
        FileNotFoundError: If the data is not there; the message says how to get it.
        ValueError: If the config has no such split.
    """
    dataset_cfg = test_dataset(cfg, split)
    if cfg is None or not dataset_cfg:
        raise ValueError(f'the config has no {split}_dataloader with a dataset')
    check_data(cfg, split)
    dataset = DATASETS.build(dataset_cfg)
    step = max(len(dataset) // count, 1)
    for number in range(0, min(len(dataset), step * count), step):
        yield read_image(dataset.get_data_info(number)['img_path'])


def draw_shapes(height: int, width: int, seed: int) -> np.ndarray:
    """An image of overlapping ellipses and boxes on noise, where no data is at hand."""
    random = np.random.default_rng(seed)
    image = random.integers(90, 166, (height, width, 3), np.uint8)
    for number in range(12):
        colour = [int(value) for value in random.integers(0, 256, 3)]
        centre = (int(random.integers(width)), int(random.integers(height)))
        size = [max(int(side * random.uniform(0.05, 0.3)), 1) for side in (width, height)]
        if number % 2:
            cv2.ellipse(image, centre, size, float(random.uniform(0, 180)), 0, 360, colour, -1)
        else:
            corner = (centre[0] + size[0], centre[1] + size[1])
            cv2.rectangle(image, centre, corner, colour, -1)
    return image
