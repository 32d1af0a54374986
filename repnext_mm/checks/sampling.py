"""Which of many files are looked at."""

import random
from collections.abc import Iterator

import numpy as np

OPENED_FILES = 48
"""Images or label maps of a dataset that are opened before training."""


def evenly_spaced(total: int, count: int) -> np.ndarray:
    """``(min(total, count),)``: indices from the first to the last, as far apart as possible."""
    return np.linspace(0, max(total - 1, 0), min(total, count)).round().astype(int)


def spread(total: int, count: int) -> Iterator[int]:
    """All indices below ``total``, ``count`` evenly spaced ones first, then the others shuffled."""
    first = evenly_spaced(total, count).tolist()
    yield from first
    others = sorted(set(range(total)).difference(first))
    random.Random(0).shuffle(others)
    yield from others
