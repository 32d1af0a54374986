"""Whether an exported file computes what the model in torch does."""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from repnext_mm.reparam.difference import relative_difference
from repnext_mm.runtime import Detections

SAME_BOX = 0.8
"""The IoU from which two boxes of one class count as the same detection."""

LIMITS = {
    'float32': {
        'box': 0.1,
        'score': 1e-3,
        'mask': 0.01,
        'unmatched': 0.02,
        'logits': 1e-3,
        'pixels': 1e-3,
        'probability': 1e-4,
        'features': 1e-4,
    },
    'float16': {
        'box': 4.0,
        'score': 0.05,
        'mask': 0.1,
        'unmatched': 0.25,
        'logits': 0.05,
        'pixels': 0.02,
        'probability': 0.02,
        'features': 0.05,
    },
}
"""What may differ: boxes in pixels; scores and probabilities; the share of the pixels of a mask
or of an image; of detections, the share that the other side lacks, but one in any case; logits and
features relative to their maximum."""

ROUNDING = {'float32': 1e-5, 'float16': 1e-3}
"""The noise that stands for another rounding, relative to the largest output of a layer. In float32
1e-6 did not break the ties of a flat image as often as ONNX Runtime did; 1e-5 does."""


HALF, NEARLY_ALL = 0.5, 0.9
"""Of the detections of both sides; more than that without a match is never allowed: the first where
one detection may differ, the second where torch itself finds others."""


class Comparison(NamedTuple):
    """What was measured on one image."""

    place: str
    """Such as ``'480x640'`` or ``'480x640, flat'``."""

    differences: dict[str, float]
    detections: int | None = None
    """How many were found in torch and in the file, together."""

    instability: Mapping[str, float] = MappingProxyType({})
    """By how much torch itself differs when it rounds in another way: where anchors have the same
    score, as on a flat image, which of them come first is open."""

    def limit(self, name: str, precision: str) -> float:
        """What a difference may be here."""
        usual = LIMITS[precision][name]
        extra = 2 * self.instability.get(name, 0.0)
        if name != 'unmatched':
            return usual + extra
        one = min(2 / max(self.detections or 0, 1), HALF)
        return min(max(usual, one) + extra, NEARLY_ALL)

    def failures(self, precision: str) -> list[str]:
        """What exceeds the limits, in words."""
        return [
            f'{name} at {self.place}: {value:.2e}, allowed {self.limit(name, precision):.0e}'
            for name, value in self.differences.items()
            if not value <= self.limit(name, precision)
        ]


def compare_detections(reference: Detections, candidate: Detections) -> dict[str, float]:
    """Differences of detections that are matched by label and IoU, best first."""
    pairs = match(reference, candidate)
    count = len(reference.scores) + len(candidate.scores)
    found = {'unmatched': (count - 2 * len(pairs)) / max(count, 1)}
    if not pairs:
        return found
    ours, theirs = (np.array(side) for side in zip(*pairs, strict=True))
    found['box'] = _largest(reference.boxes[ours] - candidate.boxes[theirs])
    found['score'] = _largest(reference.scores[ours] - candidate.scores[theirs])
    if reference.masks is not None and candidate.masks is not None:
        found['mask'] = max(
            mask_difference(reference.masks[i], candidate.masks[k]) for i, k in pairs
        )
    return found


def match(reference: Detections, candidate: Detections) -> list[tuple[int, int]]:
    """Pairs of the same detection: each takes the nearest one of its class that is still free."""
    overlaps = box_iou(*(torch.from_numpy(side.boxes) for side in (reference, candidate))).numpy()
    overlaps = np.where(reference.labels[:, None] == candidate.labels[None], overlaps, 0.0)
    pairs = []
    for number in range(len(overlaps)):
        best = int(overlaps[number].argmax()) if overlaps.shape[1] else -1
        if best >= 0 and overlaps[number, best] >= SAME_BOX:
            pairs.append((number, best))
            overlaps[:, best] = 0.0
    return pairs


def mask_difference(reference: np.ndarray, candidate: np.ndarray) -> float:
    """The share of the pixels in either mask that are in one of them only; small masks by one pixel."""
    either = int((reference | candidate).sum())
    different = int((reference ^ candidate).sum())
    return max(different - 1, 0) / max(either, 1)


def compare_logits(reference: Tensor, candidate: Tensor) -> dict[str, float]:
    """Differences of a segmentor's logits ``(C, H, W)``, or labels ``(1, H, W)`` on one side."""
    labels = candidate.argmax(0) if len(candidate) > 1 else candidate[0]
    found = {'pixels': (reference.argmax(0) != labels).double().mean().item()}
    if len(candidate) > 1:
        found['logits'] = relative_difference(reference, candidate)
    return found


def compare_arrays(references: Iterable[Tensor], candidates: Iterable[Any]) -> dict[str, float]:
    """The largest relative difference of several tensors; infinite for another shape."""
    pairs = [(a, torch.as_tensor(b)) for a, b in zip(references, candidates, strict=True)]
    return {
        'features': max(
            relative_difference(a, b) if a.shape == b.shape else math.inf for a, b in pairs
        )
    }


def _largest(difference: np.ndarray) -> float:
    value = float(np.abs(difference).max()) if difference.size else 0.0
    return value if math.isfinite(value) else math.inf
