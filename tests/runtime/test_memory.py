"""Memory follows what is returned: bitmaps, runs and labels of large photos, and nothing else as large."""

import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_files import Finder, Painter, photo, write

from repnext_mm.runtime import open_reader
from repnext_mm.runtime.enlarging import enlarge_labels, enlarge_scores, highest
from repnext_mm.runtime.image_masks import enlarge_masks
from repnext_mm.runtime.masks import decode_mask

PHOTO = (3000, 4000)
LITTLE = 40e6
"""Bytes: blocks of pixels, and a tiny network's input and output."""


@contextmanager
def peak_of(found):
    """Notes the most memory that is taken at a time inside, in bytes; NumPy's arrays count."""
    tracemalloc.start()
    try:
        yield
        found['peak'] = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope='module')
def finder(tmp_path_factory):
    path = tmp_path_factory.mktemp('finder') / 'finder.onnx'
    return open_reader(write(Finder(100), path, max_per_image=100))


@pytest.mark.parametrize('kind', ['bitmaps', 'rle', 'boxes'])
def test_masks_of_a_hundred_objects_need_little_more_than_the_answer(finder, kind):
    image = np.broadcast_to(photo(1, 1), (*PHOTO, 3))  # takes no memory itself
    measured = {}
    with peak_of(measured):
        found = finder(image, masks=kind)
    answer = dict(
        bitmaps=100 * PHOTO[0] * PHOTO[1],
        rle=sum(len(mask['counts']) for mask in found.masks) if kind == 'rle' else 0,
        boxes=sum(mask.bitmap.nbytes for mask in found.masks) if kind == 'boxes' else 0,
    )[kind]
    assert len(found) == 100
    image_itself = PHOTO[0] * PHOTO[1] * 3  # which is made contiguous before it is resized
    assert measured['peak'] <= 1.5 * answer + image_itself + LITTLE


def test_what_is_not_wanted_is_never_made(finder):
    image = np.zeros((*PHOTO, 3), np.uint8)
    measured = {}
    with peak_of(measured):
        found = finder(image, score_threshold=0.999)
    assert len(found) == 0 and found.masks.shape == (0, *PHOTO) and measured['peak'] < LITTLE
    with peak_of(measured):
        found = finder(image, max_per_image=2)
    assert len(found) == 2 and measured['peak'] < 1.5 * found.masks.nbytes + LITTLE


@pytest.mark.parametrize(
    'size', [(600, 800), pytest.param(PHOTO, marks=pytest.mark.slow)], ids=lambda size: size[1]
)
def test_labels_of_150_classes_need_little_more_than_the_answer(size):
    scores = np.random.default_rng(0).random((150, 60, 80), np.float32)
    measured = {}
    with peak_of(measured):
        labels = highest([(0, scores)], (60, 80), size, False)
    assert labels.shape == size and measured['peak'] < 1.5 * labels.nbytes + 8e6


def test_a_segmentor_gives_the_labels_of_enlarged_logits(tmp_path):
    reader = open_reader(write(Painter(150), tmp_path / 'painter.onnx', static=True))
    image = photo(500, 700)
    measured = {}
    with peak_of(measured):
        labels = reader(image)
    logits = torch.from_numpy(reader.segment(image))
    assert logits.shape[1:] == labels.shape and (logits.argmax(0).numpy() != labels).mean() < 1e-3
    network = 2 * 4 * 150 * 96 * 128  # its output, and the part of it without padding
    assert measured['peak'] < 1.5 * labels.nbytes + network + 24e6


SIZES = [
    ((9, 7), (31, 40)),
    ((31, 40), (9, 7)),
    ((12, 12), (12, 30)),
    ((1, 5), (8, 1)),
    ((6, 8), (6, 8)),
]


@pytest.mark.parametrize('align', [False, True], ids=['edges', 'corners'])
@pytest.mark.parametrize(('old', 'new'), SIZES, ids=str)
def test_scores_are_enlarged_as_in_torch(old, new, align, monkeypatch):
    scores = torch.randn(4, *old, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(scores[None], new, mode='bilinear', align_corners=align)[0]
    monkeypatch.setattr('repnext_mm.runtime.enlarging.SCORE_BLOCK', 50)  # so that there are several
    np.testing.assert_allclose(enlarge_scores(scores.numpy(), new, align), expected, atol=1e-5)
    halves = [scores[:, : old[0] // 2].numpy(), scores[:, old[0] // 2 :].numpy()]
    strips = [(0, halves[0]), (old[0] // 2, halves[1])] if old[0] > 1 else [(0, scores.numpy())]
    labels = highest(strips, old, new, align)
    assert labels.dtype == np.int64 and np.array_equal(labels, expected.argmax(0))
    nearest = F.interpolate(scores[None], new, mode='nearest-exact')[0, 0]
    assert np.array_equal(enlarge_labels(scores[0].numpy(), new), nearest)


@pytest.mark.parametrize('kind', ['bitmaps', 'rle', 'boxes'])
def test_masks_of_whole_images_are_enlarged_as_in_torch(kind):
    masks = (torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    masks[2] = 0
    expected = F.interpolate(masks[None], (47, 66), mode='bilinear')[0] > 0.5
    found = enlarge_masks(masks.byte().numpy(), (47, 66), kind)
    if kind != 'bitmaps':
        found = np.stack([decode_mask(mask, (47, 66)) for mask in found])
    assert (found != expected.numpy()).mean() < 1e-3 and not found[2].any() and found[0].any()
