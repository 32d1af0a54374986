"""What a detector finds in an image."""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from repnext_mm.deprecation import warn_of_old_name
from repnext_mm.runtime.masks import BoxMask, Runs, decode_mask, encode_mask, select_masks


class FoundObject(NamedTuple):
    """One object."""

    box: np.ndarray
    """``(4,)``: x1, y1, x2, y2 in pixels of the image."""

    score: float
    label: int
    name: str
    """Of its class; the number as text where it is unknown."""

    mask: np.ndarray | BoxMask | Runs | None
    """As in :attr:`Detections.masks`."""


@dataclass(frozen=True, eq=False)
class Detections:
    """Objects in an image, the most certain first.

    ``len(found)`` is their number; ``found[3]``, ``found[:10]`` and ``found[found.scores > 0.5]``
    are detections, too.
    """

    boxes: np.ndarray
    """``(K, 4)`` float32: x1, y1, x2, y2 in pixels of the image."""

    scores: np.ndarray
    """``(K,)`` float32, from 0 to 1."""

    labels: np.ndarray
    """``(K,)`` int64, indices into the classes."""

    masks: Any = None
    """``(K, H, W)`` bool, or a tuple of COCO's runs or of :class:`BoxMask`; None without masks."""

    size: tuple[int, int] | None = None
    """Height and width of the image; None where nobody said."""

    classes: tuple[str, ...] = ()
    """Names of the classes; empty where they are unknown."""

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: int | slice | np.ndarray | Sequence) -> 'Detections':
        """Some of the objects: by number, slice, numbers or a mask ``(K,)`` of bool.

        Raises:
            IndexError: If there is none of that number, or a mask has another length.
        """
        numbers = np.atleast_1d(np.arange(len(self))[_as_index(index)])
        chosen = index if isinstance(index, slice) else numbers
        arrays = (values[chosen] for values in (self.boxes, self.scores, self.labels))
        boxes, scores, labels = arrays
        masks = self.masks
        if isinstance(masks, np.ndarray) and isinstance(index, slice):
            masks = masks[index]  # no copy
        else:
            masks = select_masks(masks, numbers)
        return replace(self, boxes=boxes, scores=scores, labels=labels, masks=masks)

    def __iter__(self) -> Iterator[np.ndarray | None]:
        """The four arrays, as once; see :meth:`objects`.

        The tuple that this once was could be unpacked. From 1.0 on, these will be the objects.
        """
        warn_of_old_name(
            'going through Detections, or unpacking them, gives boxes, scores, labels and masks: that',
            'their attributes, or objects() for one object after the other',
        )
        return iter((self.boxes, self.scores, self.labels, self.masks))

    def objects(self) -> Iterator[FoundObject]:
        """The objects, one after the other."""
        masks = [None] * len(self) if self.masks is None else self.masks
        for box, score, label, mask in zip(
            self.boxes, self.scores.tolist(), self.labels.tolist(), masks, strict=True
        ):
            yield FoundObject(box, score, label, self.name_of(label), mask)

    def name_of(self, label: int) -> str:
        """The name of a class; its number as text where it has none."""
        return self.classes[label] if 0 <= label < len(self.classes) else str(label)

    def bitmaps(self) -> np.ndarray | None:
        """The masks ``(K, H, W)`` bool, whatever they are kept as; None without masks."""
        if self.masks is None or isinstance(self.masks, np.ndarray):
            return self.masks
        height, width = self._known_size()
        bitmaps = np.zeros((len(self), height, width), bool)
        for target, mask in zip(bitmaps, self.masks, strict=True):
            target[:] = decode_mask(mask, (height, width))
        return bitmaps

    def to_coco(
        self, image_id: int | str = 0, category_ids: Sequence[int] | None = None
    ) -> list[dict[str, Any]]:
        """Entries of a COCO results file, plain values that JSON takes.

        Args:
            image_id: The image's in the annotation file.
            category_ids: For each class its id there; by default the labels from 1 on.

        Returns:
            A dict for each object, with ``bbox`` as x, y, width, height, and with
            ``segmentation`` in COCO's compressed runs where there are masks.
        """
        entries = []
        for found in self.objects():
            left, top, right, bottom = (float(value) for value in found.box)
            category = found.label + 1 if category_ids is None else int(category_ids[found.label])
            entry: dict[str, Any] = dict(
                image_id=image_id,
                category_id=category,
                bbox=[left, top, right - left, bottom - top],
                score=found.score,
            )
            if found.mask is not None:
                mask = found.mask
                runs = mask if isinstance(mask, dict) else encode_mask(mask, self._size_with(mask))
                entry['segmentation'] = runs
            entries.append(entry)
        return entries

    def to_supervision(self) -> Any:
        """The same as ``Detections`` of the package supervision, with ``class_name`` among its data.

        Raises:
            ImportError: If supervision is not installed.
        """
        try:
            supervision = importlib.import_module('supervision')
        except ModuleNotFoundError as error:
            if error.name != 'supervision':
                raise
            raise ImportError(
                'to_supervision() needs supervision, which is not installed: pip install supervision'
            ) from error
        names = np.array([self.name_of(label) for label in self.labels.tolist()], str)
        return supervision.Detections(
            xyxy=self.boxes.astype(np.float32),
            mask=self.bitmaps(),
            confidence=self.scores.astype(np.float32),
            class_id=self.labels.astype(int),
            data=dict(class_name=names),
        )

    def _size_with(self, mask: Any) -> tuple[int, int]:
        return self._known_size() if isinstance(mask, BoxMask) else mask.shape

    def _known_size(self) -> tuple[int, int]:
        if self.size is not None:
            return self.size
        if self.masks and isinstance(self.masks[0], dict):
            height, width = self.masks[0]['size']
            return height, width
        raise ValueError('masks inside their boxes need the size of the image: give size=')


def _as_index(index: Any) -> Any:
    """Lists as arrays, so that an empty one selects nothing."""
    if isinstance(index, int | slice | np.integer | np.ndarray):
        return index
    return np.asarray(index, None if len(index) else int)
