"""The test data of a config: for a file's metadata, and for trying the file."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from repnext_mm.export.pipeline import UnsupportedStepError, resize_rules
from repnext_mm.runtime.images import read_image
from repnext_mm.runtime.size_rules import CenterCrop, Pad, SizeRule, apply_rules
from repnext_mm.visualization.colours import Colour

FALLBACK_SHAPE = (512, 512)
STRIDE = 32
"""Of the coarsest maps that most necks put beside finer ones."""

CAMERA = (480, 640)
"""Height and width of a usual image; its size in the test pipeline is the size to trace with."""


@dataclass(frozen=True)
class TestData:
    """Size rules, classes and images of a config's test data."""

    rules: tuple[SizeRule, ...] | None = None
    """The size that the test pipeline gives to images; None where no rules describe it."""

    classes: tuple[str, ...] | None = None
    """Names of the classes; None where they are unknown."""

    palette: tuple[Colour, ...] | None = None
    """A colour for each class; None where there is none."""

    images: tuple[np.ndarray, ...] = ()
    """Some images of the test data, ``(H, W, 3)`` uint8, RGB; empty where it cannot be read."""

    @property
    def divisor(self) -> int:
        """Of heights and widths, where the pipeline pads: a network behind it may take no others."""
        pads = [rule for rule in self.rules or () if isinstance(rule, Pad)]
        return math.lcm(*(rule.divisor or math.gcd(STRIDE, *rule.size or ()) for rule in pads))

    def usual_shape(self) -> tuple[int, int]:
        """Height and width that the rules give to an image of 640 x 480 pixels."""
        if not self.rules:
            return FALLBACK_SHAPE
        blank = np.zeros((*CAMERA, 3), np.uint8)
        height, width = apply_rules(blank, self.rules).image.shape[:2]
        return height, width

    def sample(self, shapes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """One image ``(H, W, 3)`` uint8, RGB, of each shape, drawn where there are none."""
        found = []
        for number, (height, width) in enumerate(shapes):
            if self.images:
                image = self.images[number % len(self.images)]
            else:
                image = draw_shapes(height, width, number)
            found.append(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
        return found

    def with_classes(self, meta: Mapping[str, Any]) -> 'TestData':
        """The same data with class names and colours from the metadata of a dataset, if there are."""
        if not meta:
            return self
        classes, palette = classes_and_palette(meta)
        return replace(self, classes=classes, palette=palette)


def read_test_data(cfg: Config | None, keeps_positions: bool = False, count: int = 0) -> TestData:
    """Reads the test data of a config.

    Warns once of size rules or images that cannot be had.

    Args:
        cfg: The config; None for none.
        keeps_positions: Whether positions in the image count, so that nothing may be cropped.
        count: How many images to read.
    """
    dataset = innermost_dataset(cfg)
    if cfg is None or not dataset:
        return TestData()
    classes, palette = classes_and_palette(dataset_meta_of(cfg))
    rules = _rules(dataset, keeps_positions)
    return TestData(rules, classes, palette, _images(cfg, count))


def innermost_dataset(cfg: Config | None, split: str = 'test') -> dict:
    """The config of a split's innermost dataset, the first of several; empty if there is none."""
    dataset = ((cfg or {}).get(f'{split}_dataloader') or {}).get('dataset') or {}
    while 'dataset' in dataset or dataset.get('datasets'):
        dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
    return dataset


def dataset_meta_of(cfg: Config) -> dict[str, Any]:
    """Classes and palette: those of the test dataset's class, and over them those of the config."""
    dataset = innermost_dataset(cfg)
    kind = dataset.get('type')
    with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        cls = registry.get(kind) if isinstance(kind, str) else kind
    own = BaseDataset._load_metainfo(dataset.get('metainfo'))  # may name files with the classes
    return dict(getattr(cls, 'METAINFO', None) or {}) | dict(own)


def classes_and_palette(
    meta: Mapping[str, Any],
) -> tuple[tuple[str, ...] | None, tuple[Colour, ...] | None]:
    """Class names and a colour for each, from the metadata of a dataset; None where unknown."""
    classes, palette = meta.get('classes'), meta.get('palette')
    if not isinstance(classes, list | tuple) or not classes:
        return None, None
    if not isinstance(palette, list | tuple) or len(palette) < len(classes):
        return tuple(classes), None
    return tuple(classes), tuple((r, g, b) for r, g, b in palette[: len(classes)])


def dataset_images(cfg: Config, split: str, count: int) -> Iterator[np.ndarray]:
    """The first images of a split, spread evenly over it: ``(H, W, 3)`` uint8, RGB.

    Raises:
        OSError: If a file is not there.
        ValueError: If the config has no such split.
    """
    dataset_cfg = innermost_dataset(cfg, split)
    if not dataset_cfg:
        raise ValueError(f'the config has no {split}_dataloader with a dataset')
    dataset = DATASETS.build(dataset_cfg)
    step = max(len(dataset) // count, 1)
    for number in range(0, min(len(dataset), step * count), step):
        yield read_image(dataset.get_data_info(number)['img_path'])


def _rules(dataset: dict, keeps_positions: bool) -> tuple[SizeRule, ...] | None:
    try:
        rules = resize_rules(dataset.get('pipeline') or [dict(type='no pipeline at all')])
        if keeps_positions and any(isinstance(rule, CenterCrop) for rule in rules):
            raise UnsupportedStepError('CenterCrop', 'where positions in the image count')
    except UnsupportedStepError as error:
        _warn(f'{error}: the exported file will take images as they are, so prepare them yourself')
        return None
    return tuple(rules)


def _images(cfg: Config, count: int) -> tuple[np.ndarray, ...]:
    if not count:
        return ()
    try:
        return tuple(dataset_images(cfg, 'test', count))
    except Exception as error:  # whatever a dataset raises whose files are not there
        _warn(f'comparing with generated images, for the test data cannot be read: {error}')
        return ()


def _warn(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)


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
