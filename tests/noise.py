"""Images of noise; nothing but NumPy is imported."""

import numpy as np


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """An image ``(H, W, 3)`` uint8 of coarse and fine noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 200, (height // 8 + 1, width // 8 + 1, 3))
    image = coarse.repeat(8, 0).repeat(8, 1)[:height, :width]
    return (image + random.integers(0, 56, image.shape)).astype(np.uint8)
