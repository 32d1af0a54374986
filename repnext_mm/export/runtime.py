"""Exported models in use: an image in, what is in it out. Needs none of the mm packages."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.io import write_png

from repnext_mm.export.geometry import Prepared, apply_rules, fit_static, read_image
from repnext_mm.export.sessions import open_session
from repnext_mm.files import replaced
from repnext_mm.visualization.instances import class_colours, draw_instances

Image = str | Path | np.ndarray


class ExportedNetwork:
    """What all kinds of exported networks share.

    Args:
        path: File of ``tools/export.py``.
        runtime: ``'onnxruntime'`` or ``'openvino'`` for ONNX; None for the first of them.

    Attributes:
        metadata: What the exporter wrote into the file.
        classes: Names of the classes; numbers where they are unknown.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the runtime is not installed.
        ValueError: If the file is of another task or not of this exporter.
    """

    task: str

    def __init__(self, path: str | Path, runtime: str | None = None):
        self.session = open_session(path, runtime)
        self.metadata = self.session.metadata
        if self.metadata['task'] != self.task:
            raise ValueError(
                f'{path} is for {self.metadata["task"]}, not {self.task}: open it with '
                f'{READERS[self.metadata["task"]]}'
            )
        self.classes: list[str] = self.metadata['classes'] or []

    def prepare(self, image: np.ndarray) -> Prepared:
        """Resizes an image ``(H, W, 3)`` as the test pipeline of the exported config does."""
        prepared = apply_rules(image, self.metadata['resize'] or [])
        static = self.metadata['input']['static_shape']
        if static is None:
            return prepared
        fitted = fit_static(prepared.image, static, self.padding)
        width, height = (a * b for a, b in zip(prepared.scale, fitted.scale, strict=True))
        return Prepared(fitted.image, (width, height), prepared.offset)

    @property
    def padding(self) -> list[float]:
        """The colour that normalization turns into zero."""
        mean = self.metadata['input']['mean']
        mean = mean if len(mean) == 3 else [mean[0]] * 3
        reverse = self.metadata['input']['network_channel_order'] == 'BGR'
        return mean[::-1] if reverse else mean

    def colours(self, count: int) -> list[tuple[int, int, int]]:
        """One for each class: the dataset's, or others that can be told apart."""
        palette = self.metadata['palette'] or []
        if len(palette) >= count:
            return [(int(red), int(green), int(blue)) for red, green, blue in palette]
        return list(class_colours(count))


class Detections(NamedTuple):
    """What is in an image, the most certain first."""

    boxes: np.ndarray
    """``(K, 4)`` float32: x1, y1, x2, y2 in pixels of the image."""

    scores: np.ndarray
    """``(K,)`` float32, from 0 to 1."""

    labels: np.ndarray
    """``(K,)`` int64, indices into the classes."""

    masks: np.ndarray | None
    """``(K, H, W)`` bool; None without a mask head."""


class Detector(ExportedNetwork):
    """An exported detector.

    ``Detector('model.onnx')('image.jpg', picture='found.png')``
    """

    task = 'detection'

    def __call__(
        self, image: Image, picture: str | Path | None = None, score_threshold: float = 0.0
    ) -> Detections:
        """Detects objects.

        Args:
            image: ``(H, W, 3)`` uint8, RGB, or the path of a picture.
            picture: PNG to write: the image with what was found.
            score_threshold: Leave out what is less certain; the file has a threshold of
                its own.

        Raises:
            FileNotFoundError: If there is no such picture.
            TypeError: If the image is no array of uint8.
            ValueError: If it is no RGB image.
        """
        pixels = read_image(image)
        prepared = self.prepare(pixels)
        found = self.detect(prepared.image, prepared.scale, pixels.shape[:2])
        chosen = found.scores >= score_threshold
        masks = None if found.masks is None else found.masks[chosen]
        found = Detections(found.boxes[chosen], found.scores[chosen], found.labels[chosen], masks)
        if picture is not None:
            save_picture(self.draw(pixels, found), picture)
        return found

    def detect(
        self, resized: np.ndarray, scale: tuple[float, float], size: tuple[int, int]
    ) -> Detections:
        """Detects in an image that has the network's size already.

        Args:
            resized: ``(H', W', 3)`` uint8, RGB.
            scale: Width and height of ``resized`` relative to the original's.
            size: Height and width of the original.
        """
        outputs = self.session(resized[None])
        boxes = outputs['boxes'] / np.array([*scale, *scale], np.float32)
        masks = None
        if 'masks' in outputs:
            masks = paste_masks(
                torch.from_numpy(outputs['masks']),
                torch.from_numpy(boxes),
                size,
                self.metadata['mask_threshold'],
            ).numpy()
        return Detections(boxes, outputs['scores'], outputs['labels'].astype(np.int64), masks)

    def draw(self, image: np.ndarray, found: Detections) -> np.ndarray:
        """The image ``(H, W, 3)`` with boxes, masks, classes and scores."""
        colours = self.colours(max([len(self.classes), *(found.labels + 1)]))
        captions = [
            f'{self._name(label)} {score:.2f}'
            for label, score in zip(found.labels, found.scores, strict=True)
        ]
        chosen = [colours[label] for label in found.labels]
        return draw_instances(image, found.boxes, captions, chosen, found.masks)

    def _name(self, label: int) -> str:
        return self.classes[label] if label < len(self.classes) else str(label)


def paste_masks(masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float) -> Tensor:
    """Puts small masks where their boxes are, as mmdet and detectron2 do.

    Args:
        masks: Probabilities ``(K, h, w)``.
        boxes: ``(K, 4)`` as x1, y1, x2, y2 in pixels.
        size: Height and width of the image.
        threshold: Of the interpolated probability.

    Returns:
        ``(K, H, W)`` bool.
    """
    height, width = size
    pasted = torch.zeros((len(masks), height, width), dtype=torch.bool)
    for mask, box, target in zip(masks.float(), boxes.float(), pasted, strict=True):
        left, top = (box[:2].floor().long() - 1).clamp(min=0).tolist()
        right = min(int(box[2].ceil()) + 1, width)
        bottom = min(int(box[3].ceil()) + 1, height)
        if right <= left or bottom <= top:
            continue
        x = (torch.arange(left, right) + 0.5 - box[0]) / (box[2] - box[0]) * 2 - 1
        y = (torch.arange(top, bottom) + 0.5 - box[1]) / (box[3] - box[1]) * 2 - 1
        x, y = (axis.nan_to_num(0.0, posinf=0.0, neginf=0.0) for axis in (x, y))
        grid = torch.stack(torch.meshgrid(x, y, indexing='xy'), -1)
        values = F.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0]
        target[top:bottom, left:right] = values >= threshold
    return pasted


class Segmentor(ExportedNetwork):
    """An exported segmentor.

    ``Segmentor('model.onnx')('image.jpg', picture='classes.png')``
    """

    task = 'segmentation'

    def __init__(self, path: str | Path, runtime: str | None = None):
        super().__init__(path, runtime)
        self.window: dict[str, list[int]] | None = self.metadata['window']

    def __call__(self, image: Image, picture: str | Path | None = None) -> np.ndarray:
        """The class of every pixel, ``(H, W)`` int64.

        Args:
            image: ``(H, W, 3)`` uint8, RGB, or the path of a picture.
            picture: PNG to write: the image in the colours of the classes, with a legend.

        Raises:
            FileNotFoundError: If there is no such picture.
            TypeError: If the image is no array of uint8.
            ValueError: If it is no RGB image.
        """
        pixels = read_image(image)
        prepared = self.prepare(pixels)
        scores = self.segment(prepared.image)
        if self.metadata['input']['static_shape'] is not None:  # without what was added
            height, width = (
                round(side * factor)
                for side, factor in zip(pixels.shape[:2], prepared.scale[::-1], strict=True)
            )
            scores = scores[:, :height, :width]
        labels = self.resize(scores, pixels.shape[:2])
        classes = labels.argmax(0) if len(labels) > 1 else labels[0].long()
        if picture is not None:
            save_picture(self.draw(pixels, classes.numpy()), picture)
        return classes.numpy()

    def segment(self, resized: np.ndarray) -> Tensor:
        """Segments an image that has the network's size already, whole or in windows.

        Args:
            resized: ``(H', W', 3)`` uint8, RGB.

        Returns:
            Logits ``(C, H', W')``, or labels ``(1, H', W')`` int64 if the file puts out such.
        """
        if self.window is None:
            (output,) = self.session(resized[None]).values()
            logits = torch.from_numpy(output)
            return logits if self.metadata['argmax'] else logits[0]
        return self._slide(resized, self.window['crop_size'], self.window['stride'])

    def _slide(self, image: np.ndarray, crop: list[int], stride: list[int]) -> Tensor:
        """The mean of the logits of overlapping windows, which are those of mmseg."""
        if self.metadata['argmax']:
            raise ValueError(
                'windows need logits: export without --argmax, or test the image whole'
            )
        spans = [
            window_spans(length, *sizes)
            for length, sizes in zip(image.shape[:2], zip(crop, stride, strict=True), strict=False)
        ]
        total: Any = 0
        count = torch.zeros(image.shape[:2])
        for top, bottom in spans[0]:
            for left, right in spans[1]:
                (output,) = self.session(image[None, top:bottom, left:right]).values()
                around = (left, image.shape[1] - right, top, image.shape[0] - bottom)
                total = total + F.pad(torch.from_numpy(output[0]), around)
                count[top:bottom, left:right] += 1
        return total / count

    def resize(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits bilinearly, labels to the nearest; ``(C, H, W)``."""
        if self.metadata['argmax']:
            return F.interpolate(scores[None].float(), size, mode='nearest-exact')[0].long()
        align = self.metadata['align_corners']
        return F.interpolate(scores[None], size, mode='bilinear', align_corners=align)[0]

    def draw(self, image: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The image ``(H, W, 3)`` in the colours of the classes ``(H, W)``, with a legend."""
        from repnext_mm.visualization.legend import frequent_classes, overlay, with_legend

        count = max(len(self.classes), int(labels.max()) + 1)
        names = self.classes or [str(number) for number in range(count)]
        colours = self.colours(count)
        entries = frequent_classes([labels], names, colours)
        return with_legend([overlay(image, labels, colours)], ['prediction'], entries)


def window_spans(length: int, crop: int, stride: int) -> list[tuple[int, int]]:
    """Where windows begin and end along one side, the last one flush with the end."""
    count = max(length - crop + stride - 1, 0) // stride + 1
    ends = [min(number * stride + crop, length) for number in range(count)]
    return [(max(end - crop, 0), end) for end in ends]


class Classifier(ExportedNetwork):
    """An exported classifier: ``Classifier('model.onnx')('image.jpg')``."""

    task = 'classification'

    def __call__(self, image: Image) -> np.ndarray:
        """The probability of each class, ``(classes,)`` float32.

        Args:
            image: ``(H, W, 3)`` uint8, RGB, or the path of a picture.
        """
        return self.classify(self.prepare(read_image(image)).image)

    def classify(self, resized: np.ndarray) -> np.ndarray:
        """The same for an image ``(H', W', 3)`` that has the network's size already."""
        return self.session(resized[None])['scores'][0]


def save_picture(picture: np.ndarray, path: str | Path) -> None:
    """Writes ``(H, W, 3)`` uint8 as PNG."""
    tensor = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
    with replaced(path) as draft:
        write_png(tensor, str(draft))


READERS = {
    'detection': 'Detector',
    'segmentation': 'Segmentor',
    'classification': 'Classifier',
    'features': 'repnext_mm.export.open_session',
}
