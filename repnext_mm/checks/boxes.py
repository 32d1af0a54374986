"""Boxes of an annotation file, the sizes of its images, and what the dataset's filter leaves."""

from collections.abc import Iterator

import numpy as np

from repnext_mm.checks.dataset import LeafDataset
from repnext_mm.checks.findings import Finding
from repnext_mm.checks.wording import of_all
from repnext_mm.datasets.annotation_file import AnnotationFile

BORDER_TOLERANCE = 1.5
"""Pixels that a box may reach beyond its image: tools round differently."""


def check_fields(file: AnnotationFile, evaluated: bool) -> Iterator[Finding]:
    """Every annotation and image has the fields that training or evaluation reads.

    Args:
        file: The file.
        evaluated: Whether pycocotools evaluates with it; it needs ``iscrowd``.
    """
    needs = [
        ('bbox', 'four numbers x, y, width, height', file.has_box.tolist()),
        ('area', 'the area in square pixels', [_number(a.get('area')) for a in file.annotations]),
    ]
    if evaluated:
        needs.append(('iscrowd', '0, or 1 for a crowd', ['iscrowd' in a for a in file.annotations]))
    for name, meaning, there in needs:
        lacking = [i for i, has in enumerate(there) if not has]
        if lacking:
            annotation = file.annotations[lacking[0]]
            has = f', but {annotation[name]!r}' if name in annotation else ''
            yield Finding(
                'error',
                'missing-fields',
                file.path,
                f'{of_all(len(lacking), len(there), "annotations")} have no {name!r}, such as the '
                f'one of id {annotation.get("id")!r}{has}',
                f'Write {meaning} into each; {_HELP[name]}',
            )
    yield from _image_fields(file)


def _image_fields(file: AnnotationFile) -> Iterator[Finding]:
    lacking = np.isnan(file.sizes).any(1).nonzero()[0].tolist()
    if lacking:
        yield Finding(
            'error',
            'missing-fields',
            file.path,
            f"{of_all(len(lacking), len(file.images), 'images')} have no 'width' and 'height' in "
            f'numbers, such as {file.images[lacking[0]].get("file_name")!r}',
            'Write the size of each image, in pixels as it is loaded',
        )
    nameless = [image for image in file.images if not isinstance(image.get('file_name'), str)]
    if nameless:
        yield Finding(
            'error',
            'missing-fields',
            file.path,
            f"{of_all(len(nameless), len(file.images), 'images')} have no 'file_name', such as the "
            f'one of id {nameless[0].get("id")!r}',
            'Write the path of each image, relative to the data_prefix of the config',
        )


_HELP = {
    'bbox': 'pycocotools.mask.toBbox computes it from a mask',
    'area': 'the width times the height of the box will do where there is no mask',
    'iscrowd': '"iscrowd": 0 is right where nobody marked crowds',
}


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_numbers(file: AnnotationFile) -> Iterator[Finding]:
    """Boxes, areas and everything else of the file are finite numbers."""
    boxes = (file.has_box & ~np.isfinite(file.boxes).all(1)).nonzero()[0].tolist()
    areas = np.isinf(file.areas).nonzero()[0].tolist()
    if boxes or areas or file.constants:
        example = 'in a field other than bbox'
        if boxes:
            annotation, number = file.annotations[boxes[0]], int(file.image_of[boxes[0]])
            on = f' on {file.images[number].get("file_name")!r}' if number >= 0 else ''
            example = f'such as the bbox {annotation["bbox"]} of id {annotation.get("id")!r}{on}'
        elif areas:
            example += f', such as the area of id {file.annotations[areas[0]].get("id")!r}'
        count = len(boxes) or len(areas) or len(file.constants)
        yield Finding(
            'error',
            'not-finite',
            file.path,
            f'it holds {count} value(s) that are no finite numbers, {example}: losses become NaN',
            'Remove these annotations or correct them; JSON itself has no NaN and no Infinity',
        )


def check_boxes(leaf: LeafDataset, file: AnnotationFile) -> Iterator[Finding]:
    """Boxes that mmdet leaves out in training, and boxes that reach beyond their images."""
    own = file.of_classes(leaf.classes or ()) & np.isfinite(file.boxes).all(1)
    lost = own & (
        (file.boxes[:, 2:] < 1).any(1) | (file.areas <= 0) | ((file.inside <= 0) & _sized(file))
    )
    if lost.any():
        annotation = file.annotations[int(lost.argmax())]
        image = file.images[file.image_of[int(lost.argmax())]]
        yield Finding(
            'warning',
            'lost-boxes',
            file.path,
            f'{of_all(int(lost.sum()), int(own.sum()), "objects")} have no area, are less than a '
            'pixel wide or high, or lie outside of their image, such as '
            f'id {annotation.get("id")!r} with the bbox {annotation["bbox"]} and the area '
            f'{annotation.get("area")} on {image.get("file_name")!r}; training leaves them out, and '
            'evaluation counts them as missed',
            'Remove or correct them; bbox is x, y, width, height in pixels',
        )
    yield from _beyond(file, own & ~lost & _sized(file))


def _sized(file: AnnotationFile) -> np.ndarray:
    sized = np.zeros(len(file.annotations), bool)
    known = file.image_of >= 0
    sized[known] = np.isfinite(file.sizes[file.image_of[known]]).all(1)
    return sized


def _beyond(file: AnnotationFile, own: np.ndarray) -> Iterator[Finding]:
    boxes, sizes = file.boxes[own], file.sizes[file.image_of[own]]
    ends = boxes[:, :2] + boxes[:, 2:]
    beyond = (boxes[:, :2] < -BORDER_TOLERANCE).any(1) | (ends > sizes + BORDER_TOLERANCE).any(1)
    if not beyond.any():
        return
    first = int(own.nonzero()[0][beyond.argmax()])
    annotation, image = file.annotations[first], file.images[file.image_of[first]]
    corners = (boxes[beyond, 2:] > boxes[beyond, :2]) & (boxes[beyond, 2:] <= sizes[beyond])
    hint = 'If the sizes of the images in the file are right, cut the boxes at the borders'
    if corners.all() and beyond.mean() > 0.1:
        hint = 'They look like x1, y1, x2, y2: COCO has x, y, width, height'
    yield Finding(
        'warning',
        'boxes-beyond-image',
        file.path,
        f'{of_all(int(beyond.sum()), len(boxes), "objects")} reach beyond their image, such as '
        f'id {annotation.get("id")!r} with the bbox {annotation["bbox"]} on '
        f'{image.get("file_name")!r} of {image.get("width")}x{image.get("height")} pixels',
        hint,
    )


def check_filter(leaf: LeafDataset, file: AnnotationFile) -> Iterator[Finding]:
    """The images that the dataset's filter leaves."""
    settings = {} if leaf.settings.get('test_mode') else leaf.settings.get('filter_cfg') or {}
    smallest = settings.get('min_size', 0)
    with np.errstate(invalid='ignore'):
        small = file.sizes.min(1, initial=np.inf) < smallest
    with_objects = np.zeros(len(file.images), bool)
    with_objects[file.image_of[file.of_classes(leaf.classes or ())]] = True
    empty = ~with_objects if settings.get('filter_empty_gt') else np.zeros_like(with_objects)
    left_out = small | empty
    where = f'{leaf.key}.filter_cfg'
    counts = (
        f'{int(empty.sum())} of {len(empty)} images of {file.path} have no object of the classes, '
        f'and {int(small.sum())} are smaller than min_size={smallest}'
    )
    if left_out.all():
        reason = counts if len(file.images) else f'{file.path} has no images'
        yield Finding(
            'error',
            'no-images-left',
            where if len(file.images) else file.path,
            f'no image is left to use: {reason}',
            'Check the names of the classes, or set filter_cfg=dict(filter_empty_gt=False, '
            'min_size=0)'
            if len(file.images)
            else 'Name a file with images',
        )
    elif small.any() or empty.mean() > 0.5:
        yield Finding(
            'warning',
            'images-left-out',
            where,
            f'{int(left_out.sum())} of {len(left_out)} images are left out: {counts}',
            'If they are meant, set filter_cfg=dict(filter_empty_gt=False, min_size=0)',
        )
