"""Colours that can be told apart, and how light they are."""

from functools import lru_cache

import numpy as np

FIRST_COLOUR = (230, 25, 75)

Colour = tuple[int, int, int]


@lru_cache
def class_colours(count: int) -> tuple[Colour, ...]:
    """Colours that differ as much as possible, and always the same.

    Each is the one farthest from all before it, of those neither grey nor very dark or
    light, so the first ones do not depend on how many there are. Up to some 1,500 are distinct.
    The distance is that of Oklab (https://bottosson.github.io/posts/oklab/).
    """
    levels = np.linspace(0, 255, 16)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing='ij'), -1).reshape(-1, 3)
    points = _oklab(candidates)
    chroma = np.hypot(points[:, 1], points[:, 2])
    vivid = (chroma > 0.1) & (points[:, 0] > 0.45) & (points[:, 0] < 0.95)
    candidates, points = candidates[vivid], points[vivid]
    distances = np.full(len(points), np.inf)
    latest = int(np.abs(candidates - FIRST_COLOUR).sum(1).argmin())
    chosen = []
    for _ in range(count):
        chosen.append(candidates[latest])
        distances = np.minimum(distances, ((points - points[latest]) ** 2).sum(1))
        latest = int(distances.argmax())
    return tuple((int(red), int(green), int(blue)) for red, green, blue in chosen)


def _oklab(colours: np.ndarray) -> np.ndarray:
    """Lightness, a and b of sRGB colours ``(N, 3)`` of 0 to 255."""
    cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    axes = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.cbrt(linear(colours) @ np.transpose(cones)) @ np.transpose(axes)


def linear(colours: np.ndarray) -> np.ndarray:
    """Light intensity, 0 to 1, of sRGB values of 0 to 255."""
    values = np.asarray(colours) / 255
    return np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)
