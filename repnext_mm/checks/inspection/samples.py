"""Training samples as the network gets them: behind the pipeline, before normalization."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image

from repnext_mm.checks.sampling import evenly_spaced
from repnext_mm.visualization.colours import class_colours
from repnext_mm.visualization.instances import draw_instances
from repnext_mm.visualization.legend import Entry, frequent_classes, overlay, with_legend

SMALLEST_SIDE = 320
"""Pixels; smaller images are enlarged, so that boxes and captions can be told apart."""
MOST_CAPTIONS = 12
"""Objects on an image; with more, captions would hide them, and the legend has the colours."""


class Sample(NamedTuple):
    """A training sample."""

    name: str
    """Of the image file."""

    size: tuple[int, int]
    """Width and height in pixels as the network gets it."""

    picture: np.ndarray
    """``(H, W, 3)`` uint8, RGB, with the annotations drawn; enlarged if it was small."""

    caption: str
    """What it shows, in words."""

    boxes: np.ndarray
    """``(N, 2)``: width and height of the boxes of its objects, in pixels."""

    def png(self) -> bytes:
        """The picture as a PNG file."""
        buffer = io.BytesIO()
        Image.fromarray(self.picture).save(buffer, format='png')
        return buffer.getvalue()


def read_samples(cfg: Config, count: int) -> list[Sample]:
    """Runs the training pipeline on some images, evenly spaced over the data.

    Args:
        cfg: A config whose default scope is set.
        count: How many samples.

    Raises:
        Exception: Whatever a transform raises on an image; its message names the image.
    """
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    meta = dataset.metainfo
    samples = []
    for index in evenly_spaced(len(dataset), count).tolist():
        item = dataset[index]
        samples.append(_drawn(cfg, item['inputs'], item['data_samples'], meta))
    return samples


def _drawn(cfg: Config, inputs: Any, data: Any, meta: dict) -> Sample:
    image = _as_seen(cfg, inputs)
    size = (image.shape[1], image.shape[0])
    classes = list(meta.get('classes') or ())
    name = Path(str(data.metainfo.get('img_path', 'image'))).name
    boxes = np.zeros((0, 2))
    if 'gt_instances' in data:
        picture, boxes = _with_objects(image, data.gt_instances, classes)
        caption = f'{len(boxes)} object(s)'
    elif 'gt_sem_seg' in data:
        labels = data.gt_sem_seg.data.numpy().squeeze()
        palette = meta.get('palette') or class_colours(len(classes))
        factor = _enlargement(image)
        large = _enlarged(image, factor)
        panels = [large, overlay(large, _enlarged(labels, factor), palette)]
        entries = frequent_classes([labels], classes, palette)
        picture = with_legend(panels, ['image', 'labels'], entries)
        ignored = float((labels >= len(classes)).mean())
        caption = f'{ignored:.0%} of the pixels without a class'
    else:
        picture = _enlarged(image, _enlargement(image))
        labels = [int(label) for label in np.atleast_1d(data.gt_label.numpy())]
        caption = ', '.join(classes[i] if i < len(classes) else str(i) for i in labels)
    return Sample(name, size, picture, caption, boxes)


def _as_seen(cfg: Config, inputs: Any) -> np.ndarray:
    """``(H, W, 3)`` uint8 with the channels in the order in which the network reads R, G, B."""
    image = inputs.permute(1, 2, 0).numpy()
    image = image.clip(0, 255).astype(np.uint8)
    if image.shape[2] != 3:
        image = np.repeat(image[:, :, :1], 3, axis=2)
    preprocessor = dict(cfg.get('data_preprocessor') or {})
    preprocessor |= (cfg.get('model') or {}).get('data_preprocessor') or {}
    turned = preprocessor.get('bgr_to_rgb') or preprocessor.get('to_rgb')
    return np.ascontiguousarray(image[:, :, ::-1] if turned else image)


def _with_objects(
    image: np.ndarray, instances: Any, classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    boxes = getattr(instances.bboxes, 'tensor', instances.bboxes).numpy().reshape(-1, 4)
    labels = instances.labels.tolist()
    masks = instances.masks.to_ndarray().astype(bool) if 'masks' in instances else None
    factor = _enlargement(image)
    palette = class_colours(max([len(classes), *(label + 1 for label in labels)]))
    captions = [classes[i] if i < len(classes) else str(i) for i in labels]
    if len(labels) > MOST_CAPTIONS:
        captions = [''] * len(labels)
    picture = draw_instances(
        _enlarged(image, factor),
        boxes * factor,
        captions,
        [palette[label] for label in labels],
        None if masks is None else masks.repeat(factor, axis=1).repeat(factor, axis=2),
    )
    if len(labels) > MOST_CAPTIONS and len(set(labels)) > 1:
        named = [(i, classes[i] if i < len(classes) else str(i)) for i in sorted(set(labels))]
        entries = [Entry(name, palette[i]) for i, name in named]
        picture = with_legend([picture], ['objects'], entries)
    return picture, (boxes[:, 2:] - boxes[:, :2]).astype(float)


def _enlargement(image: np.ndarray) -> int:
    return max(1, round(SMALLEST_SIDE / max(image.shape[:2])))


def _enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    """Height and width times a factor; further axes stay."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)
