"""Random images for segmentation and classification."""

from pathlib import Path

import cv2
import numpy as np


def write_images(folder: Path) -> None:
    """Four images in ``images``, their labels in ``labels``, and two classes in ``classes``."""
    rng = np.random.default_rng(0)
    for number in range(4):
        image = rng.integers(0, 255, (64, 64, 3), np.uint8)
        label = (image[..., 0] > 127).astype(np.uint8)
        for part, content in (
            (f'classes/{number % 2}/{number}', image),
            (f'images/{number}', image),
            (f'labels/{number}', label),
        ):
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f'{part}.png'), content)
