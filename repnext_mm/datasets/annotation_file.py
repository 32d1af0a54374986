"""Annotation files in COCO's format, read once, as columns."""

import json
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from repnext_mm.datasets.annotations import FARTHEST

LISTS = ('images', 'annotations', 'categories')
NUMBERS = frozenset({int, float})
COCO_HELP = 'COCO\'s format is {"images": [...], "annotations": [...], "categories": [...]}'
POLYGON, RLE, EMPTY, BROKEN_PART, BROKEN_POLYGON, BROKEN_RLE, NO_POLYGON = range(7)
"""Kinds of ``segmentation``; a broken part stands beside whole polygons of the same object, and what
is no polygon at all ends a training that meets it."""


class AnnotationFileError(ValueError):
    """A file is no annotation file.

    Attributes:
        remedy: What to do about it, in a sentence.
    """

    def __init__(self, message: str, remedy: str) -> None:
        self.remedy = remedy
        super().__init__(message)


class AnnotationFile:
    """Images, objects and categories of a file.

    Args:
        path: JSON file.

    Raises:
        AnnotationFileError: If it is empty, no JSON, or has not these three lists of objects.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self.constants: list[str] = []
        """NaN and infinities that the file holds anywhere; JSON has none."""
        content = self._read()
        self.images: list[dict] = content['images']
        self.annotations: list[dict] = content['annotations']
        self.categories: list[dict] = content['categories']

    def _read(self) -> dict:
        data = Path(self.path).read_bytes()
        if not data.strip():
            raise AnnotationFileError(
                f'it is empty ({len(data)} bytes)', 'Write or copy the file anew'
            )
        try:
            content = json.loads(data.decode('utf-8'), parse_constant=self._note)
        except (ValueError, RecursionError) as error:
            raise AnnotationFileError(
                f'it is not JSON in UTF-8 ({error})', 'Write or copy the file anew, whole'
            ) from error
        if not isinstance(content, dict):
            raise AnnotationFileError(
                f'it holds a {type(content).__name__} where an object should be', COCO_HELP
            )
        if {'images', 'categories'} <= set(content):
            content.setdefault('annotations', [])  # test images have none
        for name in LISTS:
            value = content.get(name)
            if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
                has = ', '.join(map(repr, list(content)[:8]))
                raise AnnotationFileError(
                    f'it has no list of objects {name!r}, but {has or "nothing at all"}', COCO_HELP
                )
        return content

    def _note(self, constant: str) -> float:
        self.constants.append(constant)
        return float(constant)

    @cached_property
    def names(self) -> list[str]:
        """Names of the categories, in the order of the file."""
        return [str(category.get('name')) for category in self.categories]

    @cached_property
    def image_numbers(self) -> dict:
        """Positions of the images by their ids."""
        return {_key(image.get('id')): number for number, image in enumerate(self.images)}

    @cached_property
    def image_of(self) -> np.ndarray:
        """``(N,)``: the position of the image of each annotation, -1 for none."""
        numbers = self.image_numbers
        found = (numbers.get(_key(item.get('image_id')), -1) for item in self.annotations)
        return np.fromiter(found, np.int64, len(self.annotations))

    @cached_property
    def category_of(self) -> np.ndarray:
        """``(N,)``: the position of the category of each annotation, -1 for none."""
        numbers = {_key(item.get('id')): number for number, item in enumerate(self.categories)}
        found = (numbers.get(_key(item.get('category_id')), -1) for item in self.annotations)
        return np.fromiter(found, np.int64, len(self.annotations))

    @cached_property
    def has_box(self) -> np.ndarray:
        """``(N,)``: whether each annotation has a list of four numbers, finite or not."""
        found = (is_box(item.get('bbox')) for item in self.annotations)
        return np.fromiter(found, bool, len(self.annotations))

    @cached_property
    def boxes(self) -> np.ndarray:
        """``(N, 4)``: x, y, width, height in pixels; NaN for what is no box of four numbers."""
        nothing = (math.nan,) * 4
        boxes = [
            item['bbox'] if there else nothing
            for item, there in zip(self.annotations, self.has_box.tolist(), strict=True)
        ]
        return _as_floats(boxes).reshape(-1, 4)

    @cached_property
    def areas(self) -> np.ndarray:
        """``(N,)`` in pixels; NaN for none."""
        return _numbers(self.annotations, 'area')

    @cached_property
    def sizes(self) -> np.ndarray:
        """``(M, 2)``: width and height of the images in pixels; NaN for none."""
        columns = [_numbers(self.images, name) for name in ('width', 'height')]
        return np.stack(columns, axis=1)

    @cached_property
    def inside(self) -> np.ndarray:
        """``(N,)``: how many square pixels of each box are within its image."""
        sizes = np.full((len(self.annotations), 2), math.nan)
        known = self.image_of >= 0
        sizes[known] = self.sizes[self.image_of[known]]
        low = np.maximum(self.boxes[:, :2], 0)
        high = np.minimum(self.boxes[:, :2] + self.boxes[:, 2:], sizes)
        return (high - low).clip(0).prod(1)

    @cached_property
    def ignored(self) -> np.ndarray:
        """``(N,)``: whether each annotation is marked ``ignore``, which mmdet leaves out."""
        found = (bool(item.get('ignore')) for item in self.annotations)
        return np.fromiter(found, bool, len(self.annotations))

    def of_classes(self, classes: Sequence[str]) -> np.ndarray:
        """``(N,)``: whether each annotation is of one of these classes and on a known image."""
        named = np.array([name in classes for name in self.names] + [False])
        return named[self.category_of] & (self.image_of >= 0)

    def used(self, classes: Sequence[str]) -> np.ndarray:
        """``(N,)``: whether mmdet trains with an annotation, as ``CocoDataset`` sees to it.

        Left out are those of other classes or of no image, marked ``ignore``, without area,
        under a pixel wide or high, and outside of their image.
        """
        large = (self.areas > 0) & (self.boxes[:, 2:] >= 1).all(1) & (self.inside > 0)
        return self.of_classes(classes) & ~self.ignored & large

    @cached_property
    def segmentations(self) -> np.ndarray:
        """``(N,)``: the kind of ``segmentation`` that each annotation has."""
        found = (segmentation_kind(item.get('segmentation')) for item in self.annotations)
        return np.fromiter(found, np.int8, len(self.annotations))

    def count_by_name(self) -> dict[str, int]:
        """How many annotations have a category of each name, in the order of the file."""
        counts = np.bincount(self.category_of + 1, minlength=len(self.categories) + 1)[1:]
        total: dict[str, int] = {}
        for name, count in zip(self.names, counts.tolist(), strict=True):
            total[name] = total.get(name, 0) + count
        return total


class AnnotationFiles:
    """Files that are read once, and let go with this."""

    def __init__(self) -> None:
        self._read: dict[Path, AnnotationFile | AnnotationFileError] = {}

    def get(self, path: str | Path) -> AnnotationFile:
        """Reads a file, or returns what was read before.

        Raises:
            AnnotationFileError: If it is no annotation file.
        """
        place = Path(path).resolve()
        if place not in self._read:
            try:
                self._read[place] = AnnotationFile(path)
            except AnnotationFileError as error:
                self._read[place] = error
        found = self._read[place]
        if isinstance(found, AnnotationFileError):
            raise found
        return found

    def find(self, path: str | Path) -> AnnotationFile | None:
        """The same, and None for what is no annotation file."""
        try:
            return self.get(path)
        except AnnotationFileError:
            return None


def is_box(row: object) -> bool:
    """Whether this is a list of four numbers, finite or not."""
    return isinstance(row, list) and len(row) == 4 and NUMBERS.issuperset(map(type, row))


def segmentation_kind(value: object) -> int:
    """Tells ``POLYGON``, ``RLE`` and the rest apart, by form alone."""
    if not value:
        return EMPTY
    if isinstance(value, dict):
        whole = isinstance(value.get('counts'), str | list) and isinstance(value.get('size'), list)
        return RLE if whole else BROKEN_RLE
    if not isinstance(value, list):
        return NO_POLYGON
    if not all(isinstance(part, list) for part in value):
        return NO_POLYGON
    good = [len(part) >= 6 and len(part) % 2 == 0 for part in value]
    if not all(_are_near(part) for part, whole in zip(value, good, strict=True) if whole):
        return NO_POLYGON
    if all(good):
        return POLYGON
    return BROKEN_PART if any(good) else BROKEN_POLYGON


def _are_near(part: list) -> bool:
    """Whether a list holds numbers alone, none of them beyond ``FARTHEST``."""
    try:
        ends = min(part), max(part)
    except TypeError:  # what cannot be compared
        return False
    return NUMBERS.issuperset(map(type, ends)) and ends[0] >= -FARTHEST and ends[1] <= FARTHEST


def _numbers(items: list[dict], name: str) -> np.ndarray:
    values = [item.get(name) for item in items]
    return _as_floats([v if type(v) in NUMBERS else math.nan for v in values])


def _as_floats(values: list) -> np.ndarray:
    """An array of float64; integers beyond its range are infinite."""
    try:
        return np.array(values, np.float64)
    except OverflowError:
        return np.vectorize(_as_float, [np.float64])(np.array(values, object))


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _key(value: object) -> object:
    """What identifies an id: 1 and '1' are not the same; a list, which is none, is nothing."""
    return value if isinstance(value, str | int | float) else None
