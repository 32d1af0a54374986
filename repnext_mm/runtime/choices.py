"""What a detector's file has decided for good, and what is left to choose when it is used."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from repnext_mm.runtime.entry_types import (
    check_types,
    is_integer,
    is_mapping,
    is_number,
    is_text,
    optional,
)
from repnext_mm.runtime.masks import MASK_KINDS, MaskKind

DETECTION_ENTRIES = {
    'score_threshold': (is_number, 'a number'),
    'mask_threshold': (optional(is_number), 'a number'),
    'mask_frame': (optional(is_text), 'a text'),
    'max_per_image': (optional(is_integer), 'a positive whole number'),
    'nms': (optional(is_mapping), 'an object'),
}
"""For each entry of a detector what it takes, and a word for that."""


@dataclass(frozen=True)
class DetectionDetails:
    """The entries of a detector in a file's metadata: what is in the graph and stays so."""

    score_threshold: float
    """The graph leaves out detections with a lower score."""

    mask_threshold: float | None = None
    """Probability from which a pixel belongs to a mask; None without a mask head."""

    mask_frame: str = 'box'
    """Whether the file's masks are probabilities inside each ``'box'``, or cover the ``'image'``."""

    max_per_image: int | None = None
    """The graph puts out so many objects at most; None without a limit, or for older files."""

    nms_iou: float | None = None
    """The IoU from which NMS takes two boxes for one object; None for files before 0.2."""

    class_agnostic_nms: bool | None = None
    """Whether NMS does so for boxes of different classes; None likewise."""

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> 'DetectionDetails':
        """Reads the entries.

        Raises:
            ValueError: If there is no threshold, which all files have, or one has another type.
        """
        if 'score_threshold' not in entries:
            raise ValueError("its metadata lack 'score_threshold': export the model again")
        check_types(entries, DETECTION_ENTRIES)
        nms = entries.get('nms') or {}
        return cls(
            entries['score_threshold'],
            entries.get('mask_threshold'),
            entries.get('mask_frame') or 'box',
            entries.get('max_per_image'),
            nms.get('iou_threshold'),
            nms.get('class_agnostic'),
        )


@dataclass(frozen=True)
class ObjectChoice:
    """Which of the objects in the network's output are returned, and how."""

    score_threshold: float = 0.0
    """Leave out what is less certain."""

    max_per_image: int | None = None
    """Return so many objects at most, the most certain; None for all."""

    masks: MaskKind = 'bitmaps'
    """What becomes of masks."""

    def __post_init__(self) -> None:
        if not 0 <= self.score_threshold <= 1:
            raise ValueError(f'score_threshold is from 0 to 1, got {self.score_threshold!r}')
        count = self.max_per_image
        if count is not None and (isinstance(count, bool) or int(count) != count or count < 1):
            raise ValueError(f'max_per_image is a number from 1 on, or None for all; got {count!r}')
        if self.masks not in MASK_KINDS:
            raise ValueError(f'unknown masks={self.masks!r}: choose from {MASK_KINDS}')

    def changed(self, **values: Any) -> 'ObjectChoice':
        """Another choice where values are given that are not None."""
        given = {name: value for name, value in values.items() if value is not None}
        return replace(self, **given) if given else self
