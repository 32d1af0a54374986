"""Masks of an annotation file: polygons and run lengths, where masks are trained or evaluated."""

from collections.abc import Iterator

import numpy as np

from repnext_mm.checks.dataset import LeafDataset, loads_masks
from repnext_mm.checks.findings import Finding
from repnext_mm.checks.sampling import evenly_spaced
from repnext_mm.checks.wording import of_all
from repnext_mm.datasets.annotation_file import (
    BROKEN_PART,
    BROKEN_POLYGON,
    BROKEN_RLE,
    EMPTY,
    NO_POLYGON,
    RLE,
    AnnotationFile,
)
from repnext_mm.datasets.annotations import FARTHEST

SAMPLED_RLE = 200
BOXES_ONLY = (
    'Use a detector without masks, or write "segmentation" into each annotation; a rectangle will '
    'do: [[x1, y1, x2, y1, x2, y2, x1, y2]]'
)


POLYGONS = 'a polygon is a list [x1, y1, x2, y2, x3, y3, ...] within the list of polygons'


def check_masks(
    leaf: LeafDataset, file: AnnotationFile, evaluated: bool, every: bool = False
) -> Iterator[Finding]:
    """Masks of the objects that are trained or evaluated.

    Args:
        leaf: A dataset of the file.
        file: The file.
        evaluated: Whether pycocotools evaluates masks with it.
        every: Whether to look into all run lengths, or some.
    """
    loaded = loads_masks(leaf)
    if not (loaded or evaluated):
        return
    classes = leaf.classes or ()
    own = file.of_classes(classes) if evaluated else file.used(classes)  # training leaves some out
    kinds = file.segmentations
    yield from _missing(file, own, loaded)
    yield from _polygons(file, own, evaluated)
    yield from _no_polygons(file, own)
    yield from _broken(file, own & (kinds == BROKEN_RLE), own, 'counts and size are missing')
    yield from _run_lengths(file, (own & (kinds == RLE)).nonzero()[0], every)


def _missing(file: AnnotationFile, own: np.ndarray, loaded: bool) -> Iterator[Finding]:
    lacking = own & (file.segmentations == EMPTY)
    if lacking.any():
        annotation = file.annotations[int(lacking.argmax())]
        image = file.images[file.image_of[int(lacking.argmax())]]
        how = 'an empty' if 'segmentation' in annotation else 'no'
        use = 'loads masks' if loaded else 'evaluates masks'
        yield Finding(
            'error',
            'missing-masks',
            file.path,
            f'the config {use}, and {of_all(int(lacking.sum()), int(own.sum()), "objects")} are '
            f'without: id {annotation.get("id")!r} on {image.get("file_name")!r} has {how} '
            "'segmentation'",
            BOXES_ONLY,
        )


def _polygons(file: AnnotationFile, own: np.ndarray, evaluated: bool) -> Iterator[Finding]:
    kinds = file.segmentations
    broken = own & ((kinds == BROKEN_PART) | (kinds == BROKEN_POLYGON))
    if not broken.any():
        return
    annotation = file.annotations[int(broken.argmax())]
    image = file.images[file.image_of[int(broken.argmax())]]
    lost = int((kinds[broken] == BROKEN_POLYGON).sum())
    effect = f'training ignores {lost} of these objects and broken parts of the others'
    if evaluated:
        effect = 'pycocotools refuses them or takes them for boxes, after a whole epoch of training'
    yield Finding(
        'error' if evaluated else 'warning',
        'broken-polygons',
        file.path,
        f'{of_all(int(broken.sum()), int(own.sum()), "objects")} have a polygon in their '
        'segmentation that has under 6 numbers (three points) or an odd count: '
        f'id {annotation.get("id")!r} on {image.get("file_name")!r} has '
        f'{_shortened(annotation["segmentation"])}; {effect}',
        f'Remove these polygons, and annotations that have no other; {POLYGONS}',
    )


def _no_polygons(file: AnnotationFile, own: np.ndarray) -> Iterator[Finding]:
    strange = own & (file.segmentations == NO_POLYGON)
    if not strange.any():
        return
    annotation = file.annotations[int(strange.argmax())]
    image = file.images[file.image_of[int(strange.argmax())]]
    yield Finding(
        'error',
        'broken-polygons',
        file.path,
        f'{of_all(int(strange.sum()), int(own.sum()), "objects")} have a segmentation that is no list '
        f'of polygons, or corners that are no numbers or beyond {FARTHEST:,.0f} pixels: '
        f'id {annotation.get("id")!r} on {image.get("file_name")!r} has '
        f'{_shortened(annotation["segmentation"])}, and training would end or run out of memory',
        f'Correct them; {POLYGONS}',
    )


def _run_lengths(file: AnnotationFile, numbers: np.ndarray, every: bool) -> Iterator[Finding]:
    chosen = numbers if every else numbers[evenly_spaced(len(numbers), SAMPLED_RLE)]
    broken: dict[int, str] = {}
    for number in chosen.tolist():
        width, height = file.sizes[file.image_of[number]].tolist()
        problem = rle_problem(file.annotations[number]['segmentation'], (height, width))
        if problem:
            broken[number] = problem
    mask = np.zeros(len(file.annotations), bool)
    mask[list(broken)] = True
    looked = np.zeros_like(mask)
    looked[chosen] = True
    yield from _broken(file, mask, looked, next(iter(broken.values()), ''))


def _broken(
    file: AnnotationFile, broken: np.ndarray, own: np.ndarray, problem: str
) -> Iterator[Finding]:
    if not broken.any():
        return
    annotation = file.annotations[int(broken.argmax())]
    yield Finding(
        'error',
        'broken-rle',
        file.path,
        f'{of_all(int(broken.sum()), int(own.sum()), "objects")} that were looked at have a broken '
        f'run-length segmentation: of id {annotation.get("id")!r}, {problem}',
        'Write {"size": [height, width], "counts": ...} as pycocotools.mask.encode gives it, with '
        'counts decoded to a string',
    )


def rle_problem(rle: dict, size: tuple[float, float]) -> str:
    """What is wrong with run lengths; empty for nothing.

    pycocotools fills what they leave open with whatever is in memory, so they are counted here.

    Args:
        rle: With ``size``, height and width, and ``counts``, a list or a compressed string.
        size: Height and width of the image in pixels.
    """
    own = tuple(rle['size'])
    if own != size and np.isfinite(size).all():
        return f'its size (height, width) {list(own)} is not {[int(side) for side in size]}'
    if len(own) != 2 or {*map(type, own)} != {int}:
        return f'its size should be [height, width], and is {_shortened(list(own), 30)}'
    try:
        counts = run_lengths(rle['counts']) if isinstance(rle['counts'], str) else rle['counts']
    except ValueError:
        return f'its counts cannot be decoded: {_shortened(rle["counts"], 30)}'
    if not all(type(count) is int and count >= 0 for count in counts):
        return f'its counts are no numbers of pixels: {_shortened(rle["counts"], 30)}'
    total, wanted = sum(counts), own[0] * own[1]
    return '' if total == wanted else f'its counts cover {total} pixels of {wanted}'


def run_lengths(text: str) -> list[int]:
    """Decodes COCO's compressed run lengths.

    A number has 5 bits in each character from code 48 on, the lowest first; bit 5 says that
    another follows, and bit 4 of the last one is the sign. From the fourth number on each is the
    difference to the one two before it (``rleFrString`` of pycocotools' maskApi.c).

    Raises:
        ValueError: If the text has other characters or ends within a number.
    """
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f'{character!r} is no part of compressed run lengths')
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise ValueError('the text ends within a number')
    return counts


def _shortened(value: object, limit: int = 70) -> str:
    text = repr(value)
    return text if len(text) <= limit else f'{text[:limit]}...'
