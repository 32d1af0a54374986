"""The generated dataset: real COCO format, deterministic, never half there."""

import json
import resource

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from repnext_mm.demo.shapes import (
    CLASSES,
    SEMANTIC_CLASSES,
    SIZE,
    draw_scene,
    generate_shapes,
)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return generate_shapes(tmp_path_factory.mktemp('data') / 'shapes', train=120, val=30)


def load(root, split: str = 'train') -> dict:
    return json.loads((root / 'annotations' / f'instances_{split}.json').read_text())


def test_all_of_the_format_occurs(root):
    content = load(root)
    segmentations = [annotation['segmentation'] for annotation in content['annotations']]
    polygons = [s for s in segmentations if isinstance(s, list)]
    runs = [s['counts'] for s in segmentations if isinstance(s, dict)]
    assert any(len(polygon) > 1 for polygon in polygons) and any(len(p) == 1 for p in polygons)
    assert {type(counts) for counts in runs} == {str, list}
    assert {a['category_id'] for a in content['annotations']} == set(range(1, len(CLASSES) + 1))
    assert {a['iscrowd'] for a in content['annotations']} == {0, 1}
    with_labels = {annotation['image_id'] for annotation in content['annotations']}
    assert 0 < len(content['images']) - len(with_labels) < 20


def test_boxes_and_areas_belong_to_the_masks(root):
    coco = COCO(str(root / 'annotations' / 'instances_train.json'))
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        assert mask.shape == (SIZE, SIZE) and mask.sum() == annotation['area'] > 0
        ys, xs = np.nonzero(mask)
        x, y, width, height = annotation['bbox']
        assert (x, y) == (xs.min(), ys.min())
        assert (x + width, y + height) == (xs.max() + 1, ys.max() + 1)


def test_masks_cover_what_was_painted():
    compared = 0
    for number in range(20):
        image, annotations, _ = draw_scene(np.random.default_rng([5, number]))
        assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8
        if len(annotations) == 1 and isinstance(annotations[0]['segmentation'], list):
            mask = np.zeros((SIZE, SIZE), np.uint8)
            points = np.array(annotations[0]['segmentation'][0]).reshape(-1, 2).astype(np.int32)
            cv2.fillPoly(mask, [points], 1)
            inside, outside = image[mask == 1], image[mask == 0]
            assert inside.max(1).mean() > outside.max(1).mean() + 20
            compared += 1
    assert compared >= 3


def test_labels_are_those_of_the_annotations(root):
    coco = COCO(str(root / 'annotations' / 'instances_train.json'))
    seen = set()
    for info in coco.imgs.values():
        labels = cv2.imread(
            str(root / 'annotations' / 'training' / info['file_name']), cv2.IMREAD_UNCHANGED
        )
        expected = np.ones((SIZE, SIZE), np.uint8)
        for annotation in coco.imgToAnns[info['id']]:
            value = 0 if annotation['iscrowd'] else annotation['category_id'] + 1
            expected[coco.annToMask(annotation) == 1] = value
        assert labels.shape == (SIZE, SIZE) and labels.dtype == np.uint8
        # Polygons lose a line of pixels along some edges; nothing thicker than a few pixels may differ.
        different = np.pad((labels != expected).astype(np.uint8), 1)
        assert cv2.erode(different, np.ones((3, 3))).sum() <= 4
        seen |= set(np.unique(labels).tolist())
    assert seen == set(range(len(SEMANTIC_CLASSES) + 1))


def test_same_seed_same_files_and_other_seed_other_files(root, tmp_path):
    again = generate_shapes(tmp_path / 'again', train=120, val=30)
    other = generate_shapes(tmp_path / 'other', train=120, val=30, seed=1)
    assert load(again) == load(root) and load(again, 'val') == load(root, 'val')
    assert load(other) != load(root)
    for name in ('train/000000.png', 'val/000120.png', 'annotations/validation/000120.png'):
        assert (again / name).read_bytes() == (root / name).read_bytes()
        assert (other / name).read_bytes() != (root / name).read_bytes()


def test_images_do_not_depend_on_the_number_of_images(root, tmp_path):
    fewer = generate_shapes(tmp_path / 'fewer', train=3, val=1)
    assert (fewer / 'train/000002.png').read_bytes() == (root / 'train/000002.png').read_bytes()


def test_dataset_that_is_there_is_kept_and_anything_else_is_refused(root, tmp_path):
    before = (root / 'recipe.json').stat().st_mtime_ns
    assert generate_shapes(root, train=120, val=30) == root
    assert (root / 'recipe.json').stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match='made otherwise'):
        generate_shapes(root, train=121, val=30)
    (tmp_path / 'thesis.txt').write_text('precious')
    with pytest.raises(FileExistsError, match='not empty'):
        generate_shapes(tmp_path, train=1, val=1)
    with pytest.raises(ValueError, match='0 and 1'):
        generate_shapes(tmp_path / 'none', train=0, val=1)


def test_nothing_is_left_when_writing_breaks_off(tmp_path, monkeypatch):
    calls = []

    def broken(rng):
        calls.append(rng)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return draw_scene(rng)

    monkeypatch.setattr('repnext_mm.demo.shapes.draw_scene', broken)
    with pytest.raises(KeyboardInterrupt):
        generate_shapes(tmp_path / 'deep' / 'shapes', train=5, val=1)
    assert list((tmp_path / 'deep').iterdir()) == []


def test_a_full_disk_is_no_data_set(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match='File too large'):
            generate_shapes(tmp_path / 'shapes', train=1, val=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
