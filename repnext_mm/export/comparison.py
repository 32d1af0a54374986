"""How far an exported file is from the model in torch, and how far it may be."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from repnext_mm.reparam.difference import relative_difference

ARRAY_LIMITS = {'float32': {'features': 1e-4}, 'float16': {'features': 0.05}}
"""Of :func:`compare_arrays`, by the precision of the file."""


@dataclass(frozen=True)
class Comparison:
    """The differences on one image, or one batch."""

    place: str
    """Such as ``'480x640'`` or ``'480x640, flat'``."""

    differences: Mapping[str, float]
    """By their names; each task has names and units of its own."""

    limits: Mapping[str, float]
    """The largest difference that is allowed, for each name."""

    count: int | None = None
    """The number of objects that torch and the file found, together; None where none are counted."""

    instability: Mapping[str, float] = field(default_factory=dict)
    """By how much torch itself differs when it rounds in another way: where anchors have the same
    score, as on a flat image, which of them come first is open."""

    def failures(self) -> list[str]:
        """One line for each difference above its limit."""
        return [
            f'{name} at {self.place}: {value:.2e}, allowed {self.limits[name]:.0e}'
            for name, value in self.differences.items()
            if not value <= self.limits[name]
        ]


def compare_arrays(
    references: Iterable[Tensor], candidates: Iterable[Tensor | np.ndarray]
) -> dict[str, float]:
    """The largest relative difference of several tensors; infinite for another shape."""
    pairs = [(a, torch.as_tensor(b)) for a, b in zip(references, candidates, strict=True)]
    return {
        'features': max(
            relative_difference(a, b) if a.shape == b.shape else math.inf for a, b in pairs
        )
    }
