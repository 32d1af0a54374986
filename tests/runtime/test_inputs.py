"""Whatever holds an image, one or many, gives what the array gives."""

import io
import os
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_files import SHAPE, Chooser, Finder, Painter, photo, write

from repnext_mm.runtime import open_reader, open_session, read_image

IMAGE = photo(40, 61)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tiny')
    write(Chooser(7), folder / 'classification.onnx')
    write(Painter(5), folder / 'segmentation.onnx')
    write(Finder(several=True), folder / 'detection.onnx')
    write(Finder(), folder / 'one.onnx')
    return folder


class VideoFrame:
    """As PyAV has it."""

    def to_ndarray(self, format):
        assert format == 'rgb24'
        return IMAGE


def encoded():
    return cv2.imencode('.png', IMAGE[..., ::-1])[1].tobytes()


KINDS = {
    'bytes': lambda: encoded(),
    'memoryview': lambda: memoryview(encoded()),
    'file object': lambda: io.BytesIO(encoded()),
    'PIL image': lambda: Image.fromarray(IMAGE),
    'PIL image with alpha': lambda: Image.fromarray(IMAGE).convert('RGBA'),
    'tensor': lambda: torch.from_numpy(IMAGE),
    'tensor, channels first': lambda: torch.from_numpy(IMAGE).permute(2, 0, 1),
    'frame of OpenCV': lambda: IMAGE[..., ::-1].copy()[..., ::-1],
    'frame of PyAV': lambda: VideoFrame(),
    'columns first': lambda: np.asfortranarray(IMAGE),
    'every second': lambda: IMAGE.repeat(2, 0)[::2],
    'int64': lambda: IMAGE.astype(np.int64),
    'big endian': lambda: IMAGE.astype('>u2'),
}


@pytest.mark.parametrize('kind', KINDS)
def test_images_of_every_kind_are_the_same_pixels(kind):
    found = read_image(KINDS[kind]())
    assert found.dtype == np.uint8 and np.array_equal(found, IMAGE)


def test_file_objects_that_hold_no_image_are_named(tmp_path):
    path = tmp_path / 'notes.txt'
    path.write_text('nothing')
    with path.open('rb') as file, pytest.raises(ValueError, match=r'notes\.txt is no image that'):
        read_image(file)
    with pytest.raises(ValueError, match='this content of 3 bytes is no image'):
        read_image(b'abc')


def test_an_image_with_too_many_pixels_is_told_from_a_broken_one(tmp_path):
    path = tmp_path / 'scan.png'
    path.write_bytes(black_png(300))
    code = 'import sys; from repnext_mm.runtime.images import read_image; read_image(sys.argv[1])'
    start = "import sys; sys.modules.update(dict.fromkeys(('torch', 'mmengine')));"
    limit = os.environ | dict(OPENCV_IO_MAX_IMAGE_PIXELS='40000')
    result = subprocess.run(
        [sys.executable, '-c', start + code, path], env=limit, capture_output=True, text=True
    )
    assert 'scan.png has more pixels than OpenCV reads, 40000 in all' in result.stderr
    assert 'OPENCV_IO_MAX_IMAGE_PIXELS' in result.stderr and result.returncode == 1


def black_png(side):
    """A black square of one bit a pixel."""

    def chunk(kind, content):
        checked = kind + content
        return len(content).to_bytes(4, 'big') + checked + zlib.crc32(checked).to_bytes(4, 'big')

    size = side.to_bytes(4, 'big')
    rows = bytes(1 + (side + 7) // 8) * side
    header, data = chunk(b'IHDR', size + size + bytes([1, 0, 0, 0, 0])), zlib.compress(rows)
    return b'\x89PNG\r\n\x1a\n' + header + chunk(b'IDAT', data) + chunk(b'IEND', b'')


def assert_same(found, expected):
    if isinstance(found, np.ndarray):
        np.testing.assert_allclose(found, expected, atol=1e-5)
        return
    assert len(found) == len(expected) == 6 and found.size == expected.size
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    assert (found.masks != expected.masks).mean() < 1e-3


@pytest.mark.parametrize('runtime', ['onnxruntime', 'openvino'])
@pytest.mark.parametrize('task', ['classification', 'segmentation', 'detection'])
def test_lists_are_batches_with_the_answers_of_single_images(folder, task, runtime):
    reader = open_reader(folder / f'{task}.onnx', runtime, batch_size=3)
    images = [
        photo(120, 160, 0),
        photo(120, 160, 1),
        photo(96, 128, 2),
        photo(120, 160, 3),
        photo(120, 160, 4),
    ]
    expected = [reader(image) for image in images]
    sizes = []
    run = reader.session.run
    reader.session.run = lambda batch: sizes.append(len(batch)) or run(batch)
    found = reader(images)
    assert isinstance(found, list)
    # Among three images those of one size; all have one where the file takes no other.
    assert sizes == ([3, 2] if task == 'detection' else [2, 1, 2])
    for one, right in zip(found, expected, strict=True):
        assert_same(one, right)
    together = np.stack([images[0], images[1]])
    for stacked in (together, torch.from_numpy(together), (images[0], images[1])):
        for one, right in zip(reader(stacked), expected[:2], strict=True):
            assert_same(one, right)
    assert reader([]) == []


def test_files_for_one_image_take_lists_one_by_one(folder):
    reader = open_reader(folder / 'one.onnx')
    images = [photo(120, 160, number) for number in range(3)]
    for one, image in zip(reader(images), images, strict=True):
        assert_same(one, reader(image))


def test_files_for_a_number_of_images_are_given_that_number(folder, tmp_path):
    onnx = pytest.importorskip('onnx')
    model = onnx.load(folder / 'detection.onnx')
    entry = next(entry for entry in model.metadata_props if entry.key == 'repnext_mm')
    assert '"batch": null' in entry.value
    entry.value = entry.value.replace('"batch": null', '"batch": 4')
    onnx.save(model, tmp_path / 'four.onnx')
    reader, usual = open_reader(tmp_path / 'four.onnx'), open_reader(folder / 'detection.onnx')
    images = [photo(120, 160, number) for number in range(6)]
    for one, image in zip(reader(images), images, strict=True):
        assert_same(one, usual(image))
    with pytest.raises(ValueError, match=rf'of shape \(4, {SHAPE[0]}, {SHAPE[1]}, 3\)'):
        open_session(tmp_path / 'four.onnx')(np.zeros((1, *SHAPE, 3), np.uint8))


def test_one_picture_is_of_one_image(folder, tmp_path):
    for task in ('segmentation', 'detection'):
        reader = open_reader(folder / f'{task}.onnx')
        with pytest.raises(
            ValueError, match=r'a\.png is one picture, and there are several images'
        ):
            reader([IMAGE, IMAGE], picture=tmp_path / 'a.png')


def test_a_picture_is_drawn_of_what_can_be_read_once(folder, tmp_path):
    for task in ('segmentation', 'detection'):
        path = tmp_path / f'{task}.png'
        open_reader(folder / f'{task}.onnx')(io.BytesIO(encoded()), picture=path)
        assert read_image(path).shape[1] >= IMAGE.shape[1]


def test_options_of_other_readers_are_named(folder):
    with pytest.raises(TypeError, match='for classification, whose reader has no masks, score_thr'):
        open_reader(folder / 'classification.onnx', masks='rle', score_threshold=0.5)
