"""Small data sets in the formats of other tools: an image of 40x30 with a box of class ``cat``."""

import base64
import io
import json
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 30, 40
BOX = (10, 5, 30, 20)
"""x1, y1, x2, y2 in pixels: whole ones are inside."""

RING = [[10, 5], [30, 5], [30, 20], [10, 20]]


def save_image(path: Path, size: tuple[int, int] = (HEIGHT, WIDTH), value: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)
    return path


def save_grey(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def box_mask() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    left, top, right, bottom = BOX
    mask[top:bottom, left:right] = 255
    return mask


def masks(folder: Path, name: str) -> None:
    save_image(folder / name / 'images' / f'{name}.png')
    save_grey(folder / name / 'masks' / '0.png', box_mask())


def voc(folder: Path, name: str) -> None:
    save_image(folder / 'JPEGImages' / f'{name}.jpg')
    left, top, right, bottom = BOX
    box = f'<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>'
    text = f'<annotation><object><name>cat</name><bndbox>{box}</bndbox></object></annotation>'
    write(folder / 'Annotations' / f'{name}.xml', text)


def yolo(folder: Path, name: str) -> None:
    save_image(folder / 'images' / f'{name}.jpg')
    write(folder / 'data.yaml', 'names: {1: dog, 0: cat}\n')
    write(folder / 'labels' / f'{name}.txt', '0 0.5 0.416666667 0.5 0.5\n')


def labelme(folder: Path, name: str) -> None:
    save_image(folder / f'{name}.jpg')
    shape = dict(label='cat', points=RING, shape_type='polygon', group_id=None)
    content = dict(shapes=[shape], imagePath=f'{name}.jpg', imageHeight=HEIGHT, imageWidth=WIDTH)
    write(folder / f'{name}.json', content)


def supervisely(folder: Path, name: str) -> None:
    write(folder / 'meta.json', dict(classes=[dict(title='cat')]))
    save_image(folder / 'all' / 'img' / f'{name}.png')
    buffer = io.BytesIO()
    left, top, right, bottom = BOX
    Image.fromarray(np.ones((bottom - top, right - left), bool)).save(buffer, format='PNG')
    data = base64.b64encode(zlib.compress(buffer.getvalue())).decode()
    entry = dict(
        classTitle='cat', geometryType='bitmap', bitmap=dict(data=data, origin=[left, top])
    )
    write(folder / 'all' / 'ann' / f'{name}.png.json', dict(objects=[entry]))


SOURCES = {
    'masks': masks,
    'voc': voc,
    'yolo': yolo,
    'labelme': labelme,
    'supervisely-folder': supervisely,
}
"""Writes an image with its annotation, by format."""


def label_maps(folder: Path, names: list[str], labels: np.ndarray) -> None:
    for name in names:
        save_image(folder / 'images' / f'{name}.jpg', labels.shape[:2])
        save_grey(folder / 'annotations' / f'{name}.png', labels)
