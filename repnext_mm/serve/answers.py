"""What a network finds in a picture, as JSON or as a picture."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image

from repnext_mm.runtime import Classifier, Detector, ExportedNetwork, Segmentor
from repnext_mm.runtime.detections import FoundObject
from repnext_mm.runtime.masks import decode_mask, encode_mask
from repnext_mm.serve.answer_options import AnswerOptions

SAVING = dict(quality=90, subsampling=0)
"""Of JPEG; thin lines keep their colours so."""


@dataclass(frozen=True)
class Answer:
    """The body of an answer."""

    content: bytes
    media_type: str


def answer_for(reader: ExportedNetwork, pixels: np.ndarray, options: AnswerOptions) -> Answer:
    """Predicts what is in a picture.

    Args:
        reader: The network.
        pixels: ``(H, W, 3)`` uint8, RGB.
        options: What is asked for; they fit the task.
    """
    return ANSWERS[reader.task](reader, pixels, options)


def _of_detector(reader: Detector, pixels: np.ndarray, options: AnswerOptions) -> Answer:
    start = perf_counter()
    most, limit = reader.details.max_per_image, options.limit
    is_drawn = options.format != 'json'
    found = reader(
        pixels,
        score_threshold=max(options.score_threshold, reader.details.score_threshold),
        max_per_image=min(limit, most) if limit and most else limit,
        masks='bitmaps' if is_drawn else options.masks,
    )
    if is_drawn:
        return _picture(reader.draw(pixels, found), options.format)
    objects = [_object(entry) for entry in found.objects()]
    return _json(reader, pixels, start, objects=objects)


def _object(found: FoundObject) -> dict[str, Any]:
    left, top, right, bottom = found.box.tolist()
    entry: dict[str, Any] = dict(
        label=found.label,
        name=found.name,
        score=round(found.score, 6),
        bbox=[round(value, 3) for value in (left, top, right - left, bottom - top)],
        area=round((right - left) * (bottom - top), 1),
    )
    if isinstance(found.mask, dict):
        entry['area'] = int(decode_mask(found.mask, found.mask['size']).sum())
        entry['segmentation'] = found.mask
    return entry


def _of_segmentor(reader: Segmentor, pixels: np.ndarray, options: AnswerOptions) -> Answer:
    start = perf_counter()
    labels = reader(pixels)
    if options.format == 'labels':
        kind = np.uint8 if labels.max() < 256 else np.uint16
        return _picture(labels.astype(kind), 'png')
    if options.format != 'json':
        return _picture(reader.draw(pixels, labels), options.format)
    counts = np.bincount(labels.ravel())
    classes = []
    for label in np.flatnonzero(counts).tolist():
        entry = dict(label=label, name=_name(reader, label), pixels=int(counts[label]))
        entry['share'] = round(entry['pixels'] / labels.size, 6)
        if options.masks == 'rle':
            entry['segmentation'] = encode_mask(labels == label, labels.shape)
        classes.append(entry)
    return _json(reader, pixels, start, classes=classes)


def _of_classifier(reader: Classifier, pixels: np.ndarray, options: AnswerOptions) -> Answer:
    start = perf_counter()
    found = reader(pixels)
    order = np.argsort(-found, kind='stable')[: options.top].tolist()
    scores = [
        dict(label=label, name=_name(reader, label), score=round(float(found[label]), 6))
        for label in order
    ]
    return _json(reader, pixels, start, scores=scores)


ANSWERS: dict[str, Callable[[Any, np.ndarray, AnswerOptions], Answer]] = {
    Detector.task: _of_detector,
    Segmentor.task: _of_segmentor,
    Classifier.task: _of_classifier,
}
"""By task."""


def _name(reader: ExportedNetwork, label: int) -> str:
    return reader.classes[label] if label < len(reader.classes) else str(label)


def _json(reader: ExportedNetwork, pixels: np.ndarray, start: float, **found: Any) -> Answer:
    height, width = pixels.shape[:2]
    seconds = round(perf_counter() - start, 4)
    entries = dict(task=reader.task, width=width, height=height, seconds=seconds)
    return Answer(json.dumps(entries | found).encode(), 'application/json')


def _picture(picture: np.ndarray, kind: str) -> Answer:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, kind, **SAVING)
    return Answer(content.getvalue(), f'image/{kind}')
