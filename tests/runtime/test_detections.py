"""What a detector found: a sequence of objects, masks in three kinds, and the formats of others."""

import json
import sys
import types

import numpy as np
import pytest
from pycocotools import mask as coco
from tiny_files import Finder, photo, write

from repnext_mm.runtime import (
    BoxMask,
    Detections,
    Detector,
    decode_mask,
    encode_mask,
    open_reader,
    paste_masks,
)
from repnext_mm.runtime.masks import box_masks, masks_as_runs

SIZE = (120, 160)


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return write(Finder(), tmp_path_factory.mktemp('finder') / 'finder.onnx')


@pytest.fixture(scope='module')
def found(path):
    return Detector(path)(photo(*SIZE))


def shapes():
    """Masks of every kind of run: in the middle, at each edge, over whole columns, all and nothing."""
    random = np.random.default_rng(0)
    masks = [random.random(SIZE) < share for share in (0.02, 0.5, 0.98)]
    for rows, columns in (
        (slice(9, 20), slice(5, 9)),
        (slice(None), slice(3, 30)),
        (slice(30, None), slice(60, None)),
        (slice(0, 4), slice(0, 2)),
        (slice(None), slice(None)),
        (slice(0, 0), slice(0, 0)),
    ):
        mask = np.zeros(SIZE, bool)
        mask[rows, columns] = True
        masks.append(mask)
    return masks


@pytest.mark.parametrize('mask', shapes(), ids=lambda mask: str(int(mask.sum())))
def test_runs_are_those_of_coco(mask):
    expected = coco.encode(np.asfortranarray(mask, np.uint8))
    runs = encode_mask(mask, SIZE)
    assert runs == dict(size=list(SIZE), counts=expected['counts'].decode())
    assert np.array_equal(decode_mask(runs, SIZE), mask)
    part = BoxMask(2, 1, mask[1:-1, 2:-3])
    whole = decode_mask(part, SIZE)
    runs = encode_mask(part, SIZE)
    assert runs['counts'] == coco.encode(np.asfortranarray(whole, np.uint8))['counts'].decode()


def test_long_runs_and_several_blocks_are_encoded(monkeypatch):
    mask = np.zeros((700, 900), bool)
    mask[100:, 200:800] = True
    expected = coco.encode(np.asfortranarray(mask, np.uint8))['counts'].decode()
    assert encode_mask(mask, mask.shape)['counts'] == expected
    monkeypatch.setattr('repnext_mm.runtime.masks.MASK_BLOCK', 7000)
    assert encode_mask(mask, mask.shape)['counts'] == expected


@pytest.mark.parametrize('block', [50, 2**19])
def test_all_kinds_of_masks_have_the_same_pixels(monkeypatch, block):
    monkeypatch.setattr('repnext_mm.runtime.masks.MASK_BLOCK', block)
    random = np.random.default_rng(1)
    masks = random.random((8, 14, 14), np.float32)
    corners = (random.random((8, 2)) * 70 - 15).astype(np.float32)
    boxes = np.concatenate([corners, corners + random.random((8, 2)) * 60], 1).astype(np.float32)
    boxes[6], boxes[7] = (-90, -90, -80, -80), (5, 5, 5, 5)
    bitmaps = paste_masks(masks, boxes, SIZE, 0.5)
    assert bitmaps[:6].any((1, 2)).sum() > 3 and not bitmaps[6].any()
    for other in (box_masks(masks, boxes, SIZE, 0.5), masks_as_runs(masks, boxes, SIZE, 0.5)):
        assert np.array_equal([decode_mask(mask, SIZE) for mask in other], bitmaps)


def test_objects_are_counted_and_chosen(found):
    assert len(found) == len(found.boxes) == 6 and found.size == SIZE
    assert [len(found[index]) for index in (0, -1, slice(2), [1, 4], [], found.scores > 2)] == [
        1, 1, 2, 2, 0, 0,
    ]  # fmt: skip
    chosen = found[found.scores < found.scores[1]]
    assert np.array_equal(chosen.masks, found.masks[2:]) and chosen.classes == found.classes
    assert np.shares_memory(found[:3].masks, found.masks)
    with pytest.raises(IndexError):
        found[6]
    with pytest.raises(IndexError):
        found[np.array([True, False])]
    names = [one.name for one in found.objects()]
    assert names == [found.classes[label] for label in found.labels]
    assert [one.score for one in found[[3]].objects()] == [found.scores[3]]


def test_the_tuple_of_earlier_versions_can_be_unpacked_with_a_warning(found):
    with pytest.warns(DeprecationWarning, match=r'unpacking them, .*use their attributes, or obj'):
        boxes, scores, labels, masks = found
    assert boxes is found.boxes and scores is found.scores and masks is found.masks
    assert labels is found.labels


@pytest.mark.parametrize('kind', ['bitmaps', 'rle', 'boxes', 'none'])
def test_masks_are_kept_as_asked_for(path, found, kind):
    image = photo(*SIZE)
    other = Detector(path, masks=kind)(image)
    chosen = other[1:3].masks
    assert chosen is None if kind == 'none' else len(chosen) == 2
    assert np.array_equal(other[1:].boxes, found.boxes[1:])
    bitmaps = other.bitmaps()
    assert bitmaps is None if kind == 'none' else np.array_equal(bitmaps, found.masks)
    called = Detector(path)(image, masks=kind)
    assert type(called.masks) is type(other.masks)


@pytest.mark.parametrize('kind', ['bitmaps', 'rle', 'boxes', 'none'])
def test_coco_entries_are_json_and_say_what_was_found(path, found, kind):
    entries = json.loads(json.dumps(Detector(path, masks=kind)(photo(*SIZE)).to_coco(7)))
    assert [entry['image_id'] for entry in entries] == [7] * 6
    assert [entry['category_id'] for entry in entries] == (found.labels + 1).tolist()
    for entry, box, mask in zip(entries, found.boxes, found.masks, strict=True):
        left, top, width, height = entry['bbox']
        np.testing.assert_allclose([left, top, left + width, top + height], box, rtol=1e-5)
        if kind != 'none':
            assert np.array_equal(coco.decode(entry['segmentation']), mask)
    assert ('segmentation' in entries[0]) == (kind != 'none')
    ids = [90, 80, 70, 60, 50]
    assert found.to_coco(0, ids)[0]['category_id'] == ids[found.labels[0]]


def test_box_masks_need_to_know_the_size(path):
    found = Detector(path, masks='boxes')(photo(*SIZE))
    lost = Detections(found.boxes, found.scores, found.labels, found.masks)
    with pytest.raises(ValueError, match='need the size of the image'):
        lost.bitmaps()


def test_supervision_gets_its_own_type(path, monkeypatch):
    package = types.ModuleType('supervision')
    package.Detections = lambda **values: values
    monkeypatch.setitem(sys.modules, 'supervision', package)
    found = Detector(path, masks='rle')(photo(*SIZE))
    values = found.to_supervision()
    assert values['mask'].shape == (6, *SIZE) and values['mask'].dtype == bool
    assert values['xyxy'].shape == (6, 4) and values['confidence'].dtype == np.float32
    assert values['class_id'].tolist() == found.labels.tolist()
    assert values['data']['class_name'].tolist() == [found.name_of(i) for i in found.labels]


def test_supervision_is_asked_for_where_it_is_missing(found, monkeypatch):
    monkeypatch.delitem(sys.modules, 'supervision', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [Hidden, *sys.meta_path])
    with pytest.raises(ImportError, match='pip install supervision'):
        found.to_supervision()


class Hidden:
    """A finder that knows of no supervision."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == 'supervision':
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)


def test_fewer_objects_are_chosen_when_opened_and_when_asked(path, found):
    image = photo(*SIZE)
    middle = float(found.scores[2])
    assert len(Detector(path, score_threshold=middle)(image)) == 3
    assert len(Detector(path, max_per_image=2)(image)) == 2
    reader = open_reader(path, max_per_image=2, score_threshold=middle)
    assert len(reader(image)) == 2 and len(reader(image, max_per_image=5)) == 3
    assert len(reader(image, None, 0.0, max_per_image=100)) == 6
    few = reader(image, max_per_image=1)
    assert few.scores[0] == found.scores.max() and len(few.masks) == 1


def test_what_the_graph_leaves_out_is_said(path):
    reader = Detector(path)
    assert reader.details.nms_iou == 0.5 and reader.details.max_per_image == 100
    with pytest.warns(UserWarning, match='score threshold of 0.05.*score_threshold=0.01 changes'):
        Detector(path, score_threshold=0.01)
    with pytest.warns(
        UserWarning, match='with 100 objects of an image at most, so max_per_image=200'
    ):
        reader(photo(*SIZE), max_per_image=200)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(nms='soft'), r"finder\.onnx cannot be read: .*'soft' as 'nms', not an object"),
        (dict(max_per_image=-1), r"have -1 as 'max_per_image', not a positive whole number"),
        (dict(score_threshold=None), "None as 'score_threshold', not a number"),
    ],
)
def test_wrong_metadata_are_named(tmp_path, changes, message):
    path = write(Finder(), tmp_path / 'finder.onnx', **changes)
    with pytest.raises(ValueError, match=message):
        Detector(path)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(score_threshold=1.5), 'score_threshold is from 0 to 1, got 1.5'),
        (dict(max_per_image=0), 'number from 1 on, or None for all; got 0'),
        (dict(masks='polygons'), r"unknown masks='polygons': choose from \('bitmaps'"),
    ],
)
def test_wrong_choices_are_named(path, options, message):
    with pytest.raises(ValueError, match=message):
        Detector(path, **options)
    with pytest.raises(ValueError, match=message):
        Detector(path)(photo(*SIZE), **options)
    with pytest.raises(ValueError, match='batch_size is a number of images from 1 on, got 0'):
        Detector(path, batch_size=0)
