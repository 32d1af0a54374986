"""Draws detections.jpg: images of the nuclei data above, what a detector finds in them below.

``python docs/draw_detections.py FILE FOLDER`` takes an exported detector and the folder of the test
images. Both come from ``repnext-mm run`` on the data of docs/own_data.md.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from repnext_mm.files import replaced
from repnext_mm.runtime import open_reader
from repnext_mm.runtime.detector import Detections
from repnext_mm.visualization.colours import class_colours
from repnext_mm.visualization.instances import draw_instances

PICTURE = Path(__file__).resolve().parent / 'detections.jpg'
IMAGES = ('f26f4c2c', 'bb61fc17', 'e23e1141', '00ae65c1', '7aa1aaa5')
"""How the names of the images begin: as different as the microscopes and stains of the data are."""

SIDE, GAP = 184, 8
"""Pixels of a panel, which is smaller than the image that it shows, and between panels."""

ENLARGED = 4
"""Outlines are drawn so much larger, and get smooth edges when the panel is reduced."""

QUALITY = 88
SCORE = 0.5

Find = Callable[[np.ndarray], Detections]


def draw(find: Find, paths: Sequence[Path]) -> Image.Image:
    """A column for each image.

    Args:
        find: Detects in an image ``(H, W, 3)`` uint8, RGB.
        paths: Of the images; the square in the middle of each is shown.
    """
    step = SIDE + GAP
    page = Image.new('RGB', (len(paths) * step - GAP, 2 * step - GAP), 'white')
    for column, path in enumerate(paths):
        pixels = np.asarray(Image.open(path).convert('RGB'))
        for row, content in enumerate((pixels, outlined(pixels, find(pixels)))):
            page.paste(reduced(content), (column * step, row * step))
    return page


def outlined(pixels: np.ndarray, found: Detections) -> np.ndarray:
    """Objects as tinted areas with outlines, in ``(ENLARGED * H, ENLARGED * W, 3)``."""
    image = Image.fromarray(pixels)
    size = (ENLARGED * image.width, ENLARGED * image.height)
    large = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
    masks = [np.asarray(Image.fromarray(mask).resize(size)) for mask in found.masks]
    count = len(found.scores)
    return draw_instances(
        large,
        found.boxes * ENLARGED,
        [''] * count,
        class_colours(count),
        np.array(masks, bool).reshape(count, *large.shape[:2]),
        with_boxes=False,
    )


def reduced(pixels: np.ndarray) -> Image.Image:
    """The square in the middle, as a panel."""
    image = Image.fromarray(pixels)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return square.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def find_images(folder: Path) -> list[Path]:
    """The first file of each name in :data:`IMAGES`.

    Raises:
        FileNotFoundError: If there is none of a name.
    """
    found = []
    for name in IMAGES:
        paths = sorted(folder.glob(f'{name}*.png'))
        if not paths:
            raise FileNotFoundError(
                f'no {name}*.png in {folder}: give the folder test of the converted nuclei data '
                '(docs/own_data.md, section 1)'
            )
        found.append(paths[0])
    return found


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(f'usage: python {sys.argv[0]} FILE.onnx FOLDER')
    detector = open_reader(sys.argv[1])
    picture = draw(
        lambda pixels: detector(pixels, score_threshold=SCORE), find_images(Path(sys.argv[2]))
    )
    with replaced(PICTURE) as draft:
        picture.save(draft, format='jpeg', quality=QUALITY, subsampling=0, optimize=True)


if __name__ == '__main__':
    main()
