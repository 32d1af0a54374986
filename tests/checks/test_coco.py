"""Annotation files of others: each kind of trouble is found, named and told how to mend."""

import json
from typing import Any

import pytest
from mmengine.config import Config
from own_data import NAMES, detector, find, write_coco

from repnext_mm.checks.data import check_datasets
from repnext_mm.checks.images import Extent

pytestmark = pytest.mark.distribution


def write(root, edit=None, val=None) -> None:
    write_coco(root, 'train', edit)
    write_coco(root, 'val', val)


def test_right_data_is_left_in_peace(tmp_path):
    write(tmp_path)
    assert find(detector(tmp_path)) == {}


@pytest.mark.parametrize(
    ('classes', 'found', 'words'),
    [
        (('washer', 'screw', 'nut'), ('error', 'order-of-classes'), "('screw', 'nut', 'washer')"),
        (('Screw', 'NUT', 'washer'), ('error', 'missing-classes'), "('screw', 'nut', 'washer')"),
        (('screw', ' nut', 'washer'), ('error', 'missing-classes'), "' nut' probably means 'nut'"),
        (('screw', 'nut', 'wahser'), ('error', 'missing-classes'), "'wahser' probably means"),
        (('screw', 'bolt', 'washer'), ('error', 'missing-classes'), 'numbers to the classes after'),
        (('a', 'b', 'c'), ('error', 'missing-classes'), "('screw', 'nut', 'washer')"),
        (('screw', 'nut', 'washer', 'bolt'), ('warning', 'missing-classes'), "'bolt'"),
        (('screw', 'nut'), ('warning', 'unused-categories'), "'washer'"),
        ('screw', ('error', 'classes-type'), "('screw',)"),
        ((1, 2, 3), ('error', 'classes-type'), '1, 2, 3'),
        (('screw', 'screw', 'nut'), ('error', 'classes-repeated'), "'screw' is named 2 times"),
    ],
)
def test_classes_of_the_config_are_compared_with_the_file(classes, found, words, tmp_path):
    write(tmp_path)
    count = 1 if isinstance(classes, str) else len(classes)
    finding = find(detector(tmp_path, classes, count))[found]
    assert words in str(finding)


def test_a_file_of_names_may_stand_for_the_classes(tmp_path):
    write(tmp_path)
    (tmp_path / 'names.txt').write_text('\n'.join(NAMES))
    assert find(detector(tmp_path, str(tmp_path / 'names.txt'))) == {}


def test_files_of_different_orders_cannot_both_be_right(tmp_path):
    write(tmp_path, val=lambda content: content['categories'].reverse())
    found = find(detector(tmp_path))
    finding = found['error', 'order-of-files']
    assert finding.place.endswith('val.json') and 'train.json' in finding.message
    assert ('error', 'order-of-classes') not in found  # its remedy would break the other file


def test_datasets_of_a_config_number_the_classes_alike(tmp_path):
    write(tmp_path)
    cfg = detector(tmp_path)
    cfg.val_dataloader.dataset.metainfo = dict(classes=('screw', 'washer'))
    message = find(cfg)['error', 'classes-differ'].message
    assert "'washer' here and 'nut' in train_dataloader.dataset" in message


def set_field(name: str, key: str, value: Any, number: int = 0):
    """An edit that sets or, with ``...``, removes a field."""

    def edit(content):
        if value is ...:
            del content[name][number][key]
        else:
            content[name][number][key] = value

    return edit


def strings(content):
    for category in content['categories']:
        category['id'] = str(category['id'])


def all_strings(content):
    strings(content)
    for annotation in content['annotations']:
        annotation['category_id'] = str(annotation['category_id'])


def without(key):
    def edit(content):
        for annotation in content['annotations']:
            del annotation[key]

    return edit


def corners(content):
    for annotation in content['annotations']:
        x, y, w, h = annotation['bbox']
        annotation['bbox'] = [x + 6, y + 4, x + w + 6, y + h + 4]


def never_a_nut(content):
    content['annotations'] = [a for a in content['annotations'] if a['category_id'] != 2]


RLE = dict(size=[16, 24], counts=[0, 384])
MANY = [
    ([0, 384], [16, 24], ''),
    ([0, 380], [16, 24], '380 pixels of 384'),
    ([0, 384], [24, 16], 'is not [16, 24]'),
    ('c26>000', [16, 24], 'cover'),
    ('!!', [16, 24], 'cannot be decoded'),
    ([-5, 389], [16, 24], 'no numbers of pixels'),
    ([[384]], [16, 24], 'no numbers of pixels'),
]


@pytest.mark.parametrize(
    ('edit', 'found', 'words'),
    [
        (set_field('categories', 'name', 'nut'), ('error', 'repeated-categories'), "name 'nut'"),
        (set_field('categories', 'id', 2), ('error', 'repeated-categories'), "id '2'"),
        (strings, ('error', 'category-ids'), "'1'"),
        (all_strings, ('warning', 'category-ids'), "'1'"),
        (set_field('annotations', 'category_id', 9), ('warning', 'category-ids'), "'9'"),
        (set_field('annotations', 'image_id', 77), ('warning', 'image-ids'), "'77'"),
        (set_field('annotations', 'id', 2), ('error', 'repeated-ids'), 'the id 2'),
        (set_field('images', 'id', 2), ('error', 'repeated-ids'), 'the id 2'),
        (set_field('annotations', 'id', 2.0), ('error', 'repeated-ids'), 'the id 2'),
        (set_field('annotations', 'image_id', ...), ('error', 'missing-fields'), "no 'image_id'"),
        (
            set_field('annotations', 'id', [1]),
            ('error', 'missing-fields'),
            'number 0, which has [1]',
        ),
        (set_field('categories', 'name', 7), ('error', 'missing-fields'), 'that is a text'),
        (set_field('annotations', 'area', 10**400), ('error', 'not-finite'), 'other than bbox'),
        (set_field('annotations', 'bbox', [10**400, 2, 3, 4]), ('error', 'not-finite'), 'bbox'),
        (
            set_field('annotations', 'segmentation', [[1e300] * 6]),
            ('error', 'broken-polygons'),
            'beyond 1,000,000 pixels',
        ),
        (
            set_field('annotations', 'segmentation', [['a'] * 6]),
            ('error', 'broken-polygons'),
            'no numbers',
        ),
        (never_a_nut, ('warning', 'absent-classes'), "'nut'"),
        (without('segmentation'), ('error', 'missing-masks'), 'without masks'),
        (set_field('annotations', 'segmentation', []), ('error', 'missing-masks'), 'an empty'),
        (without('area'), ('error', 'missing-fields'), "no 'area'"),
        (without('bbox'), ('error', 'missing-fields'), "no 'bbox'"),
        (set_field('annotations', 'bbox', ['1', 2, 3, 4]), ('error', 'missing-fields'), "['1',"),
        (set_field('images', 'width', ...), ('error', 'missing-fields'), "'width'"),
        (set_field('images', 'file_name', ...), ('error', 'missing-fields'), "'file_name'"),
        (set_field('annotations', 'bbox', [1, 2, 0, 4]), ('warning', 'lost-boxes'), '[1, 2, 0, 4]'),
        (set_field('annotations', 'bbox', [90, 2, 9, 4]), ('warning', 'lost-boxes'), '[90,'),
        (set_field('annotations', 'area', 0), ('warning', 'lost-boxes'), 'area 0'),
        (
            set_field('annotations', 'bbox', [2, 3, 44, 8]),
            ('warning', 'boxes-beyond-image'),
            '24x16',
        ),
        (corners, ('warning', 'boxes-beyond-image'), 'x1, y1, x2, y2'),
        (
            set_field('annotations', 'bbox', [1, 2, float('nan'), 4]),
            ('error', 'not-finite'),
            "nan, 4] of id 1 on '0.jpg'",
        ),
        (
            set_field('annotations', 'area', float('inf')),
            ('error', 'not-finite'),
            'other than bbox',
        ),
        (
            set_field('annotations', 'segmentation', [[1, 2, 3, 4]]),
            ('warning', 'broken-polygons'),
            '[[1, 2, 3, 4]]',
        ),
        (
            set_field('annotations', 'segmentation', [1, 2, 3, 4, 5, 6]),
            ('error', 'broken-polygons'),
            'no list of polygons',
        ),
        (
            set_field('annotations', 'segmentation', [[1, 2, 3, 4, 5, 6, 7]]),
            ('warning', 'broken-polygons'),
            'odd count',
        ),
        (
            set_field('annotations', 'segmentation', dict(size=[16, 24])),
            ('error', 'broken-rle'),
            '',
        ),
        (set_field('images', 'width', 25), ('error', 'image-size'), '24x16'),
        (set_field('images', 'file_name', '0.JPG'), ('error', 'missing-images'), "'0.jpg'"),
        (set_field('images', 'file_name', 'a/0.jpg'), ('error', 'missing-images'), 'no folder'),
        (lambda content: [content], ('error', 'annotation-file'), 'holds a list'),
        (lambda content: dict(labels=[]), ('error', 'annotation-file'), "'labels'"),
        (lambda content: dict(content, images=[]), ('error', 'no-images-left'), 'has no images'),
        (lambda content: dict(content, annotations=[]), ('error', 'no-images-left'), '3 of 3'),
    ],
)
def test_trouble_in_the_file_is_named_with_an_example(edit, found, words, tmp_path):
    write(tmp_path, edit)
    finding = find(detector(tmp_path), 'train')[found]
    assert words in str(finding)
    assert 'train' in finding.place


@pytest.mark.parametrize(('counts', 'size', 'words'), MANY)
def test_run_lengths_fill_their_image(counts, size, words, tmp_path):
    write(tmp_path, set_field('annotations', 'segmentation', dict(counts=counts, size=size)))
    found = find(detector(tmp_path), 'train')
    assert words in str(found['error', 'broken-rle']) if words else not found


def test_compressed_run_lengths_are_those_of_pycocotools():
    import numpy as np
    from pycocotools import mask as coco_mask

    from repnext_mm.checks.masks import run_lengths

    mask = np.random.default_rng(0).integers(0, 2, (300, 40), np.uint8).cumsum(0) // 40 % 2
    text = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))['counts'].decode()
    changes = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel()]))).tolist()
    assert run_lengths(text) == np.diff([0, *changes, mask.size]).tolist()


@pytest.mark.parametrize(
    ('edit', 'kind'),
    [
        (set_field('annotations', 'segmentation', [[1, 2, 3, 4]]), 'broken-polygons'),
        (without('iscrowd'), 'missing-fields'),
    ],
)
def test_what_only_the_evaluation_refuses_is_an_error_there_alone(edit, kind, tmp_path):
    write(tmp_path, edit, edit)
    assert ('error', kind) not in find(detector(tmp_path), 'train')
    assert find(detector(tmp_path), 'val')['error', kind].place.endswith('val.json')


def test_boxes_alone_are_enough_without_masks(tmp_path):
    write(tmp_path, without('segmentation'), without('segmentation'))
    cfg = detector(tmp_path, val_evaluator__metric='bbox')
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.pipeline[1].with_mask = False
    assert find(cfg) == {}


@pytest.mark.parametrize(
    ('content', 'words'), [(b'', '0 bytes'), (b'{"images": [', 'not JSON'), (b'"\xe4"', 'UTF-8')]
)
def test_files_that_are_none_are_named(content, words, tmp_path):
    write(tmp_path)
    (tmp_path / 'train.json').write_bytes(content)
    finding = find(detector(tmp_path))['error', 'annotation-file']
    assert words in finding.message and finding.place.endswith('train.json')


def shifted(content):
    for image in content['images']:
        image['id'] += 1000
    for annotation in content['annotations']:
        annotation['image_id'] += 1000


def renamed(content):
    for image in content['images']:
        image['file_name'] = f'x{image["file_name"]}'


def one_less(content):
    content['annotations'].pop()


@pytest.mark.parametrize(
    ('edit', 'count', 'level', 'words'),
    [
        (shifted, 3, 'error', 'not in it'),
        (renamed, 3, 'error', 'ids of other images'),
        (None, 4, 'error', 'in it alone'),
        (lambda content: content['categories'].reverse(), 3, 'error', 'categories'),
        (one_less, 3, 'warning', '8 annotations'),
        (None, 3, '', ''),
    ],
)
def test_evaluators_compare_with_the_file_of_the_dataset(edit, count, level, words, tmp_path):
    write(tmp_path)
    path = write_coco(tmp_path, 'old', edit, count)
    cfg = detector(tmp_path, val_evaluator__ann_file=str(path))
    found = find(cfg)
    if not level:
        assert found == {}
        return
    finding = found[level, 'evaluator-file']
    assert words in finding.message and 'val.json' in finding.remedy
    assert finding.place == 'val_evaluator.ann_file'


def test_each_metric_of_several_datasets_is_compared_with_its_own(tmp_path):
    write(tmp_path)
    other = write_coco(tmp_path, 'other', shifted)
    cfg = detector(tmp_path)
    first = cfg.val_dataloader.dataset
    second = dict(first, ann_file='other.json', data_prefix=dict(img='other/'))
    cfg.val_dataloader.dataset = dict(type='ConcatDataset', datasets=[first, second])
    files = [str(tmp_path / 'val.json'), str(other)]
    metrics = [dict(type='CocoMetric', ann_file=file) for file in files]
    prefixes = ['val', 'other']
    several = dict(type='MultiDatasetsEvaluator', metrics=metrics, dataset_prefixes=prefixes)
    cfg.val_evaluator = several
    assert [kind for _, kind in find(cfg) if kind == 'evaluator-file'] == []
    metrics.reverse()
    cfg.val_evaluator = several
    place = find(cfg)['error', 'evaluator-file'].place
    assert place == 'val_evaluator.metrics[0].ann_file'


def turn(path, orientation: int) -> None:
    from PIL import Image

    image = Image.open(path)
    image.load()
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)


def test_photos_are_as_large_as_the_pipeline_loads_them(tmp_path):
    write(tmp_path)
    turn(tmp_path / 'train' / '1.jpg', 6)
    message = find(detector(tmp_path))['error', 'image-size'].message
    assert 'EXIF orientation 6' in message and '16x24' in message
    cfg = detector(tmp_path)
    cfg.train_dataloader.dataset.pipeline[0].color_type = 'color_ignore_orientation'
    assert find(cfg) == {}


def test_photos_upside_down_are_mentioned(tmp_path):
    write(tmp_path)
    turn(tmp_path / 'train' / '1.jpg', 3)
    assert '1.jpg' in str(find(detector(tmp_path))['warning', 'orientation'])


def test_broken_images_are_named(tmp_path):
    write(tmp_path)
    (tmp_path / 'train' / '1.jpg').write_bytes(b'')
    data = (tmp_path / 'train' / '2.jpg').read_bytes()
    (tmp_path / 'train' / '2.jpg').write_bytes(data[:-20])
    message = find(detector(tmp_path))['error', 'broken-image'].message
    assert message.startswith('1 of 3') and '1.jpg' in message
    findings = check_datasets(detector(tmp_path), 'train', extent=Extent(every=True)).findings
    assert findings[0].message.startswith('2 of 3')  # read whole, so that what is cut off shows


def test_the_filter_may_leave_nothing_or_little(tmp_path):
    write(tmp_path)
    cfg = detector(tmp_path, train_dataloader__dataset__filter_cfg=dict(min_size=32))
    finding = find(cfg)['error', 'no-images-left']
    assert 'min_size=32' in finding.message and 'train_dataloader' in finding.place
    write(tmp_path, set_field('images', 'height', 4))
    assert ('warning', 'images-left-out') in find(detector(tmp_path), 'train')


def test_nothing_to_learn_is_an_error_unless_another_dataset_has_objects(tmp_path):
    """Semi-supervised training has a dataset without annotations beside the labelled one."""
    write(tmp_path, lambda content: dict(content, annotations=[]))
    cfg = detector(tmp_path, train_dataloader__dataset__filter_cfg=dict(filter_empty_gt=False))
    assert 'no object' in find(cfg, 'train')['error', 'no-images-left'].message
    empty = cfg.train_dataloader.dataset
    labelled = dict(empty, ann_file='val.json', data_prefix=dict(img='val/'))
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[labelled, empty])
    assert find(cfg, 'train') == {}


def test_test_images_need_no_annotations(tmp_path):
    def unlabelled(content):
        del content['annotations']

    write(tmp_path, val=unlabelled)
    assert find(detector(tmp_path)) == {}


def test_wrapped_datasets_are_looked_into_and_unknown_ones_left_alone(tmp_path):
    write(tmp_path)
    cfg = detector(tmp_path, ('washer', 'screw', 'nut'))
    inner = cfg.train_dataloader.dataset
    concatenated = dict(type='ConcatDataset', datasets=[inner, inner])
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=concatenated)
    data = check_datasets(cfg, 'train')
    assert [leaf.key for leaf in data.leaves] == [
        f'train_dataloader.dataset.dataset.datasets[{number}]' for number in range(2)
    ]
    assert [finding.kind for finding in data.findings].count('order-of-classes') == 2
    inner.type = 'LVISV1Dataset'  # reads in another way
    cfg = Config(dict(cfg._cfg_dict, train_dataloader=dict(dataset=inner)))
    assert find(cfg, 'train') == {}


def test_files_elsewhere_are_left_to_mmengine(tmp_path):
    cfg = detector('s3://bucket', ('a', 'b', 'c'))
    assert find(cfg) == {}


def test_refused_settings_are_shown(tmp_path):
    write(tmp_path)
    cfg = detector(tmp_path)
    cfg.train_dataloader.dataset.filename = 'x'
    assert 'filename' in find(cfg)['error', 'dataset-settings'].message


def test_a_file_is_read_once(tmp_path, monkeypatch):
    write(tmp_path)
    loads: list[str] = []
    load = json.loads
    monkeypatch.setattr(
        json, 'loads', lambda text, **options: loads.append('') or load(text, **options)
    )
    cfg = detector(tmp_path)
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    check_datasets(cfg, 'train', 'val', 'test')
    assert len(loads) == 2
