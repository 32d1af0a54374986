"""The grid of 8-bit integers: which floats it can show, and rounding to it."""

import numpy as np

STEPS = 255
"""Steps between the smallest and the largest of 256 integers."""

Range = tuple[float, float]
"""Smallest and largest value."""


def around_zero(limits: Range) -> Range:
    """The smallest range that holds this one and has zero in its middle."""
    largest = max(-limits[0], limits[1])
    return -largest, largest


def step_size(limits: Range) -> float:
    """The distance of two neighbours among the 256 values between the ends of a range.

    Zero is always one of them, so a range that lies on one side of it begins or ends there.
    """
    return max((max(limits[1], 0.0) - min(limits[0], 0.0)) / STEPS, 1e-12)


def zero_point(limits: Range) -> np.uint8:
    """The integer that stands for zero."""
    return np.uint8(np.clip(round(-limits[0] / step_size(limits)), 0, STEPS))


def round_weights(weights: np.ndarray, axis: int, largest_integer: int) -> np.ndarray:
    """Weights after a round trip through integers, with a scale for each row along an axis.

    Args:
        weights: The weights of a layer.
        axis: Along which the output channels lie.
        largest_integer: That the largest magnitude of a row becomes.
    """
    others = tuple(number for number in range(weights.ndim) if number != axis)
    scale = np.maximum(np.abs(weights).max(others, keepdims=True) / largest_integer, 1e-30)
    return (np.round(weights / scale) * scale).astype(weights.dtype)
