"""Drawings of the documentation: what their scripts draw, and shown by a page."""

import importlib
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DOCS = Path(__file__).resolve().parents[1] / 'docs'
SCRIPTS = ['draw_forms', 'draw_loading', 'draw_timeline']
SMALLEST_TEXT = 12


@pytest.fixture(params=SCRIPTS)
def script(request):
    """A script that draws with docs/drawing.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        yield importlib.import_module(request.param)
    for name in (*SCRIPTS, 'drawing'):
        sys.modules.pop(name, None)


def test_pictures_are_those_of_their_script_and_on_a_page(script):
    pages = ''.join(path.read_text(encoding='utf-8') for path in DOCS.glob('*.md'))
    for name, draw in script.PICTURES.items():
        stored = (DOCS / name).read_text(encoding='utf-8')
        assert draw().svg() == stored, f'python docs/{script.__name__}.py draws {name} again'
        assert f']({name})' in pages


def test_everything_lies_on_the_card_and_texts_can_be_read(script):
    for draw in script.PICTURES.values():
        root = ET.fromstring(draw().svg())
        width, height = (float(root.get(name)) for name in ('width', 'height'))
        found = list(root.iter())
        boxes = [part for part in found if part.tag.endswith('rect')]
        texts = [part for part in found if part.tag.endswith('text')]
        assert len(boxes) > 10 and len(texts) > 10
        for part in boxes:
            left, top, right, low = (float(part.get(n)) for n in ('x', 'y', 'width', 'height'))
            assert left >= 0 and top >= 0 and left + right <= width and top + low <= height
        for part in texts:
            size = float(part.get('font-size'))
            length = 0.62 * size * len(part.text or '')
            share = dict(start=0, middle=0.5, end=1)[part.get('text-anchor')]
            left = float(part.get('x')) - share * length
            assert size >= SMALLEST_TEXT and 0 <= float(part.get('y')) <= height, part.text
            assert left >= 0 and left + length <= width, part.text


def test_scripts_are_all_tested():
    drawn = {path.stem for path in DOCS.glob('draw_*.py')} - {'draw_rooms', 'draw_detections'}
    assert drawn == set(SCRIPTS)  # tests/test_architecture.py has the rooms


@pytest.fixture
def detections():
    """The script that draws what a detector finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        yield importlib.import_module('draw_detections')
    sys.modules.pop('draw_detections', None)


def test_detections_are_drawn_below_their_images(detections, tmp_path):
    from repnext_mm.runtime.detector import Detections

    def find(pixels):
        masks = np.zeros((1, *pixels.shape[:2]), bool)
        masks[0, 20:40, 20:40] = True
        return Detections(np.array([[20.0, 20, 40, 40]]), np.ones(1), np.zeros(1, int), masks)

    for name in detections.IMAGES:
        Image.new('RGB', (60, 60), 'grey').save(tmp_path / f'{name}ab.png')
    paths = detections.find_images(tmp_path)
    page = np.asarray(detections.draw(find, paths)).astype(int)
    side, step = detections.SIDE, detections.SIDE + detections.GAP
    assert page.shape == (side + step, side + (len(paths) - 1) * step, 3)
    for column in range(0, page.shape[1], step):
        above, below = (page[top : top + side, column : column + side] for top in (0, step))
        changed = (above != below).any(2)
        assert changed[side // 2, side // 2] and not changed[: side // 4].any()
    paths[0].unlink()
    with pytest.raises(FileNotFoundError, match='give the folder test of the converted nuclei'):
        detections.find_images(tmp_path)


def test_the_picture_of_detections_is_small(detections):
    with Image.open(detections.PICTURE) as picture:
        columns = len(detections.IMAGES)
        step = detections.SIDE + detections.GAP
        assert picture.size == (columns * step - detections.GAP, 2 * step - detections.GAP)
    assert detections.PICTURE.stat().st_size < 200_000
