"""Exported segmentors."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from repnext_mm.runtime.enlarging import Strip, enlarge_labels, enlarge_scores, highest
from repnext_mm.runtime.images import Image, is_many, read_image
from repnext_mm.runtime.network import (
    BATCH,
    ExportedNetwork,
    Model,
    Outputs,
    check_one_picture,
)
from repnext_mm.runtime.size_rules import Prepared
from repnext_mm.runtime.windows import Window, strips_of


@dataclass(frozen=True)
class SegmentationDetails:
    """The entries of a segmentor in a file's metadata."""

    align_corners: bool
    """How logits are interpolated to the size of the image; see ``F.interpolate``."""

    argmax: bool
    """Whether the file puts out classes instead of logits."""

    window: Window | None = None
    """None if images are looked at whole."""

    def to_json(self) -> dict[str, Any]:
        """The entries as plain values."""
        window = self.window and {k: list(v) for k, v in asdict(self.window).items()}
        return dict(align_corners=self.align_corners, argmax=self.argmax, window=window)


class Segmentor(ExportedNetwork):
    """An exported segmentor.

    ``Segmentor('model.onnx')('image.jpg', picture='classes.png')``
    """

    task = 'segmentation'

    def __init__(
        self, source: Model, runtime: str | None = None, *, batch_size: int = BATCH, **options: Any
    ):
        super().__init__(source, runtime, batch_size=batch_size, **options)
        details = self.spec.details
        self.details = SegmentationDetails(
            details['align_corners'], details['argmax'], Window.from_json(details['window'])
        )
        self.window = self.details.window

    @overload
    def __call__(self, image: list[Any] | tuple[Any, ...]) -> list[np.ndarray]: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, image: Image, picture: str | Path | None = None) -> np.ndarray: ...

    def __call__(
        self, image: Image, picture: str | Path | None = None
    ) -> np.ndarray | list[np.ndarray]:
        """The class of every pixel, ``(H, W)`` int64.

        Args:
            image: What :func:`~repnext_mm.runtime.images.read_image` takes, or a list of them,
                for a list of answers.
            picture: PNG to write: the image in the colours of the classes, with a legend.

        Raises:
            FileNotFoundError: If there is no such picture.
            TypeError: If it is nothing that an image can be.
            ValueError: If it is no RGB image.
        """
        many = is_many(image)
        check_one_picture(picture, many)
        if picture is not None:
            image = read_image(image)  # once: a file object gives its content no second time
        sources = image if many else [image]
        found = [*(self._by_windows(sources) if self.window else self._whole_images(sources))]
        if picture is not None:
            from repnext_mm.visualization.saving import save_picture

            save_picture(self.draw(image, found[0]), picture)
        return found if many else found[0]

    def _whole_images(self, sources: Any) -> Iterator[np.ndarray]:
        for pixels, prepared, scores in self.pass_all(sources):
            old, new = prepared.image.shape[:2], pixels.shape[:2]
            if old == new:  # once is enough, and nothing of all classes has the size of the image
                old = scores.shape[1:]
            yield self._labels([(0, self.resize(scores, old))], old, new)

    def _by_windows(self, sources: Any) -> Iterator[np.ndarray]:
        for source in sources:
            pixels = read_image(source)
            resized = self.prepare(pixels).image
            yield self._labels(self._strips(resized), resized.shape[:2], pixels.shape[:2])

    def _labels(self, strips: Any, old: tuple[int, ...], new: tuple[int, ...]) -> np.ndarray:
        """From scores to the classes of an image of another size."""
        height, width = new
        if self.details.argmax:
            ((_, labels),) = strips
            return enlarge_labels(labels[0], (height, width))
        return highest(strips, (old[0], old[1]), (height, width), self.details.align_corners)

    def segment(self, resized: np.ndarray) -> np.ndarray:
        """Segments an image that has the network's size already, whole or in windows.

        Args:
            resized: ``(H', W', 3)`` uint8, RGB.

        Returns:
            Logits ``(C, H', W')``, or labels ``(1, H', W')`` int64 if the file puts out such.
        """
        strips = [scores for _, scores in self._strips(resized)]
        return strips[0] if len(strips) == 1 else np.concatenate(strips, 1)

    def _strips(self, resized: np.ndarray) -> Iterator[Strip]:
        if self.window is None:
            return iter([(0, self._scores(resized))])
        if self.details.argmax:
            raise ValueError(
                'windows need logits: export with argmax=False, or test the image whole'
            )
        return strips_of(resized, self.window, self._scores)

    def _scores(self, resized: np.ndarray) -> np.ndarray:
        """Logits ``(C, H', W')`` or labels ``(1, H', W')`` of an image of the network's size."""
        return self.resize(self.run([resized])[0], resized.shape[:2])

    def split(self, outputs: Outputs, count: int) -> list[Outputs]:
        """Labels get an axis in front, as logits have one."""
        parts = super().split(outputs, count)
        if not self.details.argmax:
            return parts
        return [{name: values[None] for name, values in part.items()} for part in parts]

    def read_outputs(self, outputs: Outputs, fitted: Prepared, resized: np.ndarray) -> np.ndarray:
        """Logits ``(C, h, w)`` or labels ``(1, h, w)`` of what the file was given, without padding."""
        (scores,) = outputs.values()
        height, width = (
            round(side * factor)
            for side, factor in zip(resized.shape[:2], fitted.scale[::-1], strict=True)
        )
        return scores[:, :height, :width]

    def resize(self, scores: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """Logits bilinearly, labels to the nearest; ``(C, H, W)``."""
        if scores.shape[1:] == tuple(size):
            return scores
        if self.details.argmax:
            return enlarge_labels(scores[0], (size[0], size[1]))[None]
        return enlarge_scores(scores, (size[0], size[1]), self.details.align_corners)

    def draw(self, image: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The image ``(H, W, 3)`` in the colours of the classes ``(H, W)``, with a legend."""
        from repnext_mm.visualization.legend import frequent_classes, overlay, with_legend

        count = max(len(self.classes), int(labels.max()) + 1)
        names = self.classes or [str(number) for number in range(count)]
        colours = self.colours(count)
        entries = frequent_classes([labels], names, colours)
        return with_legend([overlay(image, labels, colours)], ['prediction'], entries)
