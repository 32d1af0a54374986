"""The examples of docs/serving.md, one after the other."""

import re
from pathlib import Path

import cv2
from tiny_files import Finder, photo, write

PAGE = Path(__file__).parents[2] / 'docs' / 'serving.md'


def test_examples_run(tmp_path, monkeypatch):
    blocks = re.findall(r'```python\n(.*?)```', PAGE.read_text(encoding='utf-8'), re.DOTALL)
    blocks = [block for block in blocks if "'spawn'" not in block]  # test_sharing.py has pools
    assert len(blocks) >= 6
    monkeypatch.chdir(tmp_path)
    write(Finder(), tmp_path / 'model.onnx')
    for seed, name in enumerate(('image.jpg', 'other.jpg')):
        cv2.imwrite(name, photo(120, 160, seed))
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert len(names['answers']) == 3 and len(names['found']) > 0 and names['text'] != '[]'
