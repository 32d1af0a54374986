"""What is written of a prediction: a record for each image, and tables of all of them."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from repnext_mm.files import replaced, write_text
from repnext_mm.runtime import Detections

TOP = 5
"""Classes of a classifier's record."""


def record_of(
    name: str,
    size: tuple[int, int],
    found: Detections | np.ndarray,
    classes: Sequence[str],
    threshold: float,
) -> dict[str, Any]:
    """A prediction as plain values.

    Args:
        name: Of the image.
        size: Its height and width.
        found: Of a predictor.
        classes: Names.
        threshold: Score of an object, or probability of a class, from which it counts.
    """
    entry: dict[str, Any] = dict(image=name, height=size[0], width=size[1])
    if isinstance(found, Detections):
        return entry | dict(objects=list(_objects(found, classes, threshold)))
    if found.ndim == 2:
        counts = np.bincount(found.ravel(), minlength=len(classes)).tolist()
        pixels = {_name(i, classes): count for i, count in enumerate(counts) if count}
        return entry | dict(pixels=pixels)
    order = np.argsort(-found, kind='stable')[:TOP].tolist()
    scores = {_name(i, classes): round(float(found[i]), 6) for i in order}
    return entry | dict(scores={name: s for name, s in scores.items() if s >= threshold})


def _objects(
    found: Detections, classes: Sequence[str], threshold: float
) -> Iterator[dict[str, Any]]:
    for number in np.flatnonzero(found.scores >= threshold).tolist():
        left, top, right, bottom = (round(float(value), 2) for value in found.boxes[number])
        entry: dict[str, Any] = dict(
            label=int(found.labels[number]),
            name=_name(int(found.labels[number]), classes),
            score=round(float(found.scores[number]), 6),
            bbox=[left, top, round(right - left, 2), round(bottom - top, 2)],
            area=round((right - left) * (bottom - top), 1),
        )
        if found.masks is not None:
            runs = coco_mask.encode(np.asfortranarray(found.masks[number], dtype=np.uint8))
            counts = runs['counts'].decode()
            entry |= dict(segmentation=dict(size=list(runs['size']), counts=counts))
            entry['area'] = int(found.masks[number].sum())
        yield entry


def _name(label: int, classes: Sequence[str]) -> str:
    return classes[label] if label < len(classes) else str(label)


def write_tables(records: Sequence[dict[str, Any]], classes: Sequence[str], folder: Path) -> None:
    """Writes ``predictions.json`` and ``predictions.csv``.

    The JSON of a detector is a COCO annotation file whose annotations have a ``score``; that of
    others lists the records.
    """
    content: Any = records
    if any('objects' in record for record in records):
        content = _as_coco(records, classes)
    write_text(folder / 'predictions.json', json.dumps(content))
    with replaced(folder / 'predictions.csv') as draft:
        with draft.open('w', newline='', encoding='utf-8') as file:
            writer = csv.writer(file)
            writer.writerows(_rows(records))


def _as_coco(records: Sequence[dict[str, Any]], classes: Sequence[str]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    labels = {entry['label'] for record in records for entry in record['objects']}
    count = max([len(classes), *(label + 1 for label in labels)])
    for number, record in enumerate(records, 1):
        size = {key: record[key] for key in ('height', 'width')}
        images.append(dict(id=number, file_name=record['image'], **size))
        for entry in record['objects']:
            kept = {key: value for key, value in entry.items() if key not in ('label', 'name')}
            own = dict(id=len(annotations) + 1, image_id=number, category_id=entry['label'] + 1)
            annotations.append(own | kept | dict(iscrowd=0))
    categories = [dict(id=i + 1, name=_name(i, classes)) for i in range(count)]
    return dict(images=images, annotations=annotations, categories=categories)


def _rows(records: Sequence[dict[str, Any]]) -> Iterator[list[Any]]:
    """Rows of a table for people, with its title first."""
    first = records[0] if records else {}
    if 'objects' in first:
        yield ['image', 'class', 'score', 'x', 'y', 'width', 'height', 'area']
        for record in records:
            for entry in record['objects']:
                values = [*entry['bbox'], entry['area']]
                yield [record['image'], entry['name'], entry['score'], *values]
        return
    kind = 'pixels' if 'pixels' in first else 'scores'
    yield ['image', 'class', kind]
    for record in records:
        for name, value in record.get(kind, {}).items():
            yield [record['image'], name, value]
