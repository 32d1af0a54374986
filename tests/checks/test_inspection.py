"""tools/check_dataset.py: a page and a report of what is in the data, and what is wrong with it."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from mmengine.config import Config
from own_data import classifier, detector, segmentor, write_coco, write_folders, write_maps
from PIL import Image

from repnext_mm.checks.inspection.inspector import inspect_data
from repnext_mm.checks.inspection.statistics import best_overlaps, check_anchors

pytestmark = pytest.mark.distribution
ANCHORS = dict(type='AnchorGenerator', scales=[2], ratios=[1.0], strides=[4])


def write(root, write_split) -> None:
    """Two splits whose images differ, as the last bytes of their files do."""
    for split in ('train', 'val'):
        write_split(root, split)
    for path in (root / 'val').rglob('*.jpg'):
        path.write_bytes(path.read_bytes() + b'other')


def with_packing(cfg: Config, name: str) -> Config:
    cfg.train_dataloader.dataset.pipeline.append(dict(type=name))
    return cfg


def pictures(page: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


def look(cfg: Config, folder, **options) -> tuple[str, dict]:
    inspect_data(cfg, folder, 'mine', **options)
    report = json.loads((folder / 'report.json').read_text())
    return (folder / 'index.html').read_text(), report


def test_a_page_about_right_detection_data(tmp_path, capsys):
    write(tmp_path, write_coco)
    cfg = with_packing(detector(tmp_path), 'PackDetInputs')
    cfg.model.rpn_head.anchor_generator = ANCHORS
    page, report = look(cfg, tmp_path / 'out', every=True)
    assert report['findings'] == [] and 'Nothing found' in page
    assert report['splits'][0]['counts'] == dict(screw=3, nut=3, washer=3)
    assert report['anchor_sizes'] == [8.0]
    assert report['object_sizes'] == [round(32**0.5, 2)] * 9
    *samples, sizes = pictures(page)
    assert len(samples) == 3 and sizes.width > 400
    assert '3 images of' in capsys.readouterr().err  # the progress
    assert 'http' not in page  # one file is all that it needs


def test_samples_have_the_colours_that_the_network_gets(tmp_path):
    write(tmp_path, write_coco)
    red = np.full((16, 24, 3), (250, 0, 0), np.uint8)
    Image.fromarray(red).save(tmp_path / 'train' / '0.jpg', quality=100)
    cfg = with_packing(detector(tmp_path), 'PackDetInputs')
    corners = []
    for bgr_to_rgb in (True, False):
        cfg.model.data_preprocessor = dict(bgr_to_rgb=bgr_to_rgb)
        page, _ = look(cfg, tmp_path / 'out')
        corners.append(np.array(pictures(page)[0])[0, 0])
    assert corners[0][0] > 200 > corners[0][2] and corners[1][2] > 200 > corners[1][0]


def test_many_objects_have_a_legend_in_place_of_captions(tmp_path):
    def crowd(content):
        for number in range(12):
            content['annotations'].append(dict(content['annotations'][0], id=100 + number))

    write(tmp_path, write_coco)
    few = pictures(look(with_packing(detector(tmp_path), 'PackDetInputs'), tmp_path / 'out')[0])
    write_coco(tmp_path, 'train', crowd)
    many = pictures(look(with_packing(detector(tmp_path), 'PackDetInputs'), tmp_path / 'out')[0])
    assert many[0].height > few[0].height


def test_label_maps_are_drawn_beside_their_images(tmp_path):
    write(tmp_path, write_maps)
    cfg = with_packing(segmentor(tmp_path), 'PackSegInputs')
    page, report = look(cfg, tmp_path / 'out')
    assert report['findings'] == []
    counts = report['splits'][0]['counts']
    assert sum(counts.values()) == 3 * 16 * 24 and counts['roof'] == 3 * 30
    assert all(picture.width > 2 * 300 for picture in pictures(page)[:3])


def test_images_of_classes_are_counted(tmp_path):
    write(tmp_path, write_folders)
    cfg = with_packing(classifier(tmp_path), 'PackInputs')
    page, report = look(cfg, tmp_path / 'out')
    assert [finding['kind'] for finding in report['findings']] == []
    assert report['splits'][0]['counts'] == dict(nut=2, screw=2, washer=2)
    assert '0.jpg, 24x16: nut' in page


def test_images_of_two_splits_are_named(tmp_path):
    write(tmp_path, write_coco)
    shutil.copy(tmp_path / 'train' / '2.jpg', tmp_path / 'val' / '0.jpg')
    cfg = with_packing(detector(tmp_path), 'PackDetInputs')
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    _, report = look(cfg, tmp_path / 'out')
    finding = next(f for f in report['findings'] if f['kind'] == 'shared-images')
    assert finding['message'].startswith('1 of 3') and 'train/2.jpg' in finding['message']
    assert set(report['shared_images']) == {'train/val'}  # test is val again


def test_a_pipeline_that_fails_is_shown(tmp_path):
    write(tmp_path, write_coco)
    cfg = detector(tmp_path)
    cfg.train_dataloader.dataset.pipeline.append(dict(type='Resize', scale=(0, 0)))
    _, report = look(cfg, tmp_path / 'out')
    assert [f['kind'] for f in report['findings']] == ['pipeline'] and report['errors'] == 1


def test_findings_are_on_the_page_and_can_be_skipped(tmp_path):
    write(tmp_path, write_coco)
    cfg = detector(tmp_path, ('<washer>', 'nut', 'screw'))
    page, report = look(cfg, tmp_path / 'out')
    assert report['errors'] and '&lt;washer&gt;' in page and '<washer>' not in page
    _, report = look(cfg, tmp_path / 'out', skipped=['missing-classes'])
    assert 'missing-classes' not in [f['kind'] for f in report['findings']]


def test_overlaps_are_those_of_boxes_with_one_centre():
    boxes, anchors = np.array([[4.0, 4], [8, 2]]), np.array([[4.0, 4], [16, 16]])
    assert best_overlaps(boxes, anchors).tolist() == [1, 8 / 24]


def test_objects_that_no_anchor_fits_are_named_with_other_scales():
    small, large = np.full((9, 2), 6.0), np.full((1, 2), 32.0)
    (finding,) = check_anchors(np.concatenate([small, large]), large, [4])
    assert finding.kind == 'anchor-sizes' and '90%' in finding.message
    assert 'scales=[2]' in finding.remedy
    assert check_anchors(large, large, [4]) == []
