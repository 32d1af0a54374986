"""All inputs through a predictor, with files of the results; goes on where it was interrupted."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from repnext_mm.files import write_text
from repnext_mm.prediction.inputs import Frame, Input, announced_frames, frames_of
from repnext_mm.prediction.predictors import Predicted, Predictor
from repnext_mm.prediction.records import record_of, write_tables
from repnext_mm.runtime import Detections
from repnext_mm.visualization.objects import USUAL_OPTIONS, DrawOptions, Objects, draw_objects
from repnext_mm.visualization.saving import save_picture

RECORDS = 'records'


@dataclass(frozen=True)
class Settings:
    """What is written, and how."""

    network: str
    """What makes the predictions, such as the name and hash of a file: results of another one are not
    mixed with it."""

    draw: DrawOptions = USUAL_OPTIONS
    """Its threshold is that of the tables too."""

    pictures: bool = True
    batch: int = 1
    """Images that are predicted together, where the network takes several."""

    every: int = 1
    """Of a video, the first of so many frames."""


FrameProgress = Callable[[Iterable[Frame], int], Iterable[Frame]]


def predict_all(
    predictor: Predictor,
    inputs: Sequence[Input],
    folder: Path,
    settings: Settings,
    progress: FrameProgress = lambda frames, _: frames,
) -> list[str]:
    """Predicts what is not done yet, then writes tables of everything.

    ``folder`` gets ``records/`` with a JSON file for each image, ``pictures/``, for segmentors
    ``labels/``, and ``predictions.json`` and ``predictions.csv``.

    Args:
        predictor: The network.
        inputs: Images and videos.
        folder: Of the results.
        settings: How.
        progress: Wraps the images, given how many there are, to show how far it is.

    Returns:
        A message for each input that could not be read.

    Raises:
        ValueError: If the folder holds results of other settings.
        RuntimeError: If records have gone since they were written.
    """
    _check_settings(folder, settings)
    done = frozenset(
        path.relative_to(folder / RECORDS).as_posix().removesuffix('.json')
        for path in (folder / RECORDS).rglob('*.json')
    )
    troubles: list[str] = []
    waiting: list[Frame] = []
    finished = 0
    count = sum(announced_frames(source, settings.every) for source in inputs) - len(done)
    for frame in progress(_frames(inputs, done, settings.every, troubles), max(0, count)):
        waiting.append(frame)
        finished += 1
        if len(waiting) >= settings.batch:
            _finish(predictor, waiting, folder, settings)
            waiting = []
    _finish(predictor, waiting, folder, settings)
    records = [
        json.loads(path.read_text(encoding='utf-8'))
        for path in sorted((folder / RECORDS).rglob('*.json'))
    ]
    if len(records) < len(done) + finished:
        raise RuntimeError(
            f'{folder} lacks {len(done) + finished - len(records)} records that were written: was it '
            'removed meanwhile? The same command again makes them anew'
        )
    write_tables(records, predictor.classes, folder)
    return troubles


def _frames(
    inputs: Iterable[Input], done: frozenset[str], every: int, troubles: list[str]
) -> Iterator[Frame]:
    """The images of all inputs; what cannot be read is noted."""
    for source in inputs:
        try:
            yield from frames_of(source, done, every)
        except (OSError, ValueError) as error:
            troubles.append(str(error))


def _check_settings(folder: Path, settings: Settings) -> None:
    path = folder / 'settings.json'
    ours = asdict(settings) | dict(draw=settings.draw._asdict())
    del ours['batch']  # which changes no result
    if path.is_file():
        theirs = json.loads(path.read_text(encoding='utf-8'))
        different = sorted(key for key in ours if ours[key] != theirs.get(key))
        if different:
            raise ValueError(
                f'{folder} holds predictions of another {", ".join(different)}: name another folder, '
                'or remove it'
            )
    else:
        write_text(path, json.dumps(ours, indent=2))


def _finish(
    predictor: Predictor, frames: Sequence[Frame], folder: Path, settings: Settings
) -> None:
    """Predicts a batch and writes its files, the record last: it tells that an image is done."""
    if not frames:
        return
    results = predictor([frame.pixels for frame in frames])
    for frame, found in zip(frames, results, strict=True):
        if settings.pictures:
            picture = draw(predictor, frame.pixels, found, settings.draw)
            save_picture(picture, folder / 'pictures' / f'{frame.name}.png')
        if isinstance(found, np.ndarray) and found.ndim == 2:
            save_labels(found, folder / 'labels' / f'{frame.name}.png')
        size = frame.pixels.shape[:2]
        threshold = settings.draw.score_threshold if predictor.task == 'detection' else 0.0
        record = record_of(frame.name, size, found, predictor.classes, threshold)
        write_text(folder / RECORDS / f'{frame.name}.json', json.dumps(record))


def draw(
    predictor: Predictor, image: np.ndarray, found: Predicted, options: DrawOptions
) -> np.ndarray:
    """A picture ``(H, W, 3)`` of a prediction, with a title and a legend."""
    from repnext_mm.visualization.legend import Entry, frequent_classes, overlay, with_legend
    from repnext_mm.visualization.objects import enlarge, scale_for

    classes, colours = predictor.classes, predictor.colours
    if isinstance(found, Detections):
        shown = Objects(found.boxes, found.scores, found.labels, found.masks)
        shown = shown.above(options.score_threshold)
        panel = draw_objects(image, shown, classes, colours, options)
        legend = frequent_classes([shown.labels], classes, colours) if len(classes) > 1 else []
        return with_legend([panel], [f'{len(shown.labels)} objects'], legend)
    scale = options.scale or scale_for(image)
    if found.ndim == 2:
        panel = enlarge(overlay(image, found, colours), scale)
        return with_legend([panel], ['prediction'], frequent_classes([found], classes, colours))
    best = np.argsort(-found, kind='stable')[:3].tolist()
    entries = [Entry(f'{classes[i]} {found[i]:.2f}', colours[i]) for i in best]
    return with_legend([enlarge(image, scale)], ['most probable'], entries)


def save_labels(labels: Any, path: Path) -> None:
    """Writes labels ``(H, W)`` as a grey PNG, of 16 bits where there are more than 256 classes."""
    from PIL import Image

    from repnext_mm.files import replaced

    kind = np.uint8 if labels.max(initial=0) < 256 else np.uint16
    with replaced(path) as draft:
        Image.fromarray(labels.astype(kind)).save(draft, format='PNG')
