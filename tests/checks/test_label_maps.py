"""Label maps of others against classes, images and what is ignored."""

import numpy as np
import pytest
from own_data import GROUND, find, picture, segmentor, write_maps
from PIL import Image

from repnext_mm.checks.label_map_file import label_of

pytestmark = pytest.mark.distribution


def write(root, edit=None, val=None, **options) -> None:
    write_maps(root, 'train', edit, **options)
    write_maps(root, 'val', val)


def test_right_data_is_left_in_peace(tmp_path):
    write(tmp_path)
    assert find(segmentor(tmp_path)) == {}


def test_ignored_pixels_are_left_in_peace(tmp_path):
    def edit(labels):
        labels[0] = 255
        return labels

    write(tmp_path, edit, edit)
    assert find(segmentor(tmp_path)) == {}


COLOURS = np.array([[9, 9, 9], [128, 64, 0], [0, 0, 200]], np.uint8)


@pytest.mark.parametrize(
    ('edit', 'found', 'words'),
    [
        (lambda labels: COLOURS[labels], ('error', 'label-map-colours'), '(128, 64, 0)'),
        (
            lambda labels: np.dstack([labels] * 3),
            ('error', 'label-map-colours'),
            'one of the equal channels',
        ),
        (
            lambda labels: labels.astype(np.uint16) * 1000,
            ('error', 'label-map-bits'),
            '1000, 2000, which mmseg loads as 232, 208',
        ),
        (lambda labels: labels + 1, ('error', 'label-values'), 'reduce_zero_label=True'),
        (lambda labels: labels * 5, ('error', 'label-values'), '5, 10'),
        (lambda labels: (labels > 0) * np.uint8(255), ('error', 'labels-0-and-255'), "'road'"),
        (lambda labels: labels * 0 + 255, ('error', 'label-values'), 'all pixels'),
        (lambda labels: labels[:-2], ('error', 'label-map-size'), '24x14'),
        (lambda labels: labels.clip(0, 1), ('warning', 'absent-classes'), "'roof'"),
    ],
)
def test_trouble_in_label_maps_is_named_with_an_example(edit, found, words, tmp_path):
    write(tmp_path, edit)
    finding = find(segmentor(tmp_path), 'train')[found]
    assert words in str(finding) and finding.place.endswith('train_labels')


def test_sixteen_bits_do_no_harm_by_themselves(tmp_path):
    write(tmp_path, lambda labels: labels.astype(np.uint16))
    assert find(segmentor(tmp_path)) == {}


@pytest.mark.parametrize('split', ['train', 'val'])
def test_reducing_zero_fits_labels_that_count_from_1(split, tmp_path):
    write(tmp_path)
    setting = {f'{split}_dataloader__dataset__reduce_zero_label': True}
    finding = find(segmentor(tmp_path, **setting))['warning', 'reduce-zero-label']
    assert "'roof' never occurs" in finding.message and split in finding.place
    write(tmp_path, lambda labels: labels + 1, lambda labels: labels + 1)
    reduced = {f'{name}_dataloader__dataset__reduce_zero_label': True for name in ('train', 'val')}
    assert find(segmentor(tmp_path, **reduced)) == {}


def test_reducing_zero_may_ignore_everything(tmp_path):
    write(tmp_path, lambda labels: labels * 0)
    cfg = segmentor(tmp_path, train_dataloader__dataset__reduce_zero_label=True)
    assert 'ignores 0' in find(cfg)['error', 'reduce-zero-label'].message


def test_pipeline_and_dataset_reduce_alike(tmp_path):
    write(tmp_path)
    cfg = segmentor(tmp_path)
    cfg.train_dataloader.dataset.pipeline[1].reduce_zero_label = True
    assert 'the dataset reduce' in find(cfg)['error', 'reduce-zero-label'].message


@pytest.mark.parametrize(
    ('changes', 'level', 'place'),
    [
        (dict(model__auxiliary_head__ignore_index=0), 'error', 'model.auxiliary_head.ignore_index'),
        (dict(val_evaluator__ignore_index=0), 'warning', 'val_evaluator.ignore_index'),
    ],
)
def test_heads_and_metric_ignore_one_label(changes, level, place, tmp_path):
    write(tmp_path)
    assert find(segmentor(tmp_path, **changes))[level, 'ignored-index'].place == place


def test_missing_maps_and_other_suffixes_are_named(tmp_path):
    write(tmp_path, suffix='.bmp')
    finding = find(segmentor(tmp_path))['error', 'missing-label-maps']
    assert "'0.bmp'" in finding.message and 'seg_map_suffix' in finding.remedy
    cfg = segmentor(tmp_path, train_dataloader__dataset__img_suffix='.png')
    finding = find(cfg)['error', 'no-images-left']
    assert "'0.jpg'" in finding.message and 'img_suffix' in finding.remedy


def test_jpeg_label_maps_are_mentioned(tmp_path):
    write(tmp_path, suffix='.jpg')
    cfg = segmentor(tmp_path, train_dataloader__dataset__seg_map_suffix='.jpg')
    assert ('warning', 'lossy-label-maps') in find(cfg)


def test_broken_label_maps_and_images_are_named(tmp_path):
    write(tmp_path)
    (tmp_path / 'train_labels' / '1.png').write_bytes(b'')
    assert '1.png' in find(segmentor(tmp_path))['error', 'broken-image'].message


def test_images_turned_by_their_exif_data_are_named(tmp_path):
    write(tmp_path)
    exif = picture(1).getexif()
    exif[0x0112] = 6
    picture(1).save(tmp_path / 'train' / '1.jpg', exif=exif)
    assert 'turned by its EXIF data' in find(segmentor(tmp_path))['error', 'label-map-size'].message


@pytest.mark.parametrize('reduce_zero_label', [False, True])
@pytest.mark.parametrize('label_map', [None, {0: 1, 1: 0, 254: 255}])
def test_labels_are_those_of_the_loader(reduce_zero_label, label_map, tmp_path):
    from mmseg.datasets.transforms import LoadAnnotations

    values = [0, 1, 2, 254, 255]
    Image.fromarray(np.array([values], np.uint8)).save(tmp_path / 'labels.png')
    results = dict(seg_map_path=str(tmp_path / 'labels.png'), seg_fields=[])
    results |= dict(label_map=label_map, reduce_zero_label=reduce_zero_label)
    loaded = LoadAnnotations().transform(results)['gt_seg_map'].ravel().tolist()
    assert [label_of(value, reduce_zero_label, label_map) for value in values] == loaded


def test_a_subset_of_the_classes_of_a_dataset_is_mapped(tmp_path):
    """mmseg's ``label_map``: classes that are left out are ignored."""
    write(tmp_path)
    cfg = segmentor(tmp_path)
    from mmengine.registry import DATASETS

    with DATASETS.switch_scope_and_registry('mmseg') as registry:
        base = registry.get('BaseSegDataset')

    known = dict(classes=GROUND, palette=[[0, 0, 0], [9, 9, 9], [5, 5, 5]])
    aerial = type('Aerial', (base,), dict(METAINFO=known))
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.update(type=aerial, metainfo=dict(classes=('roof',)))
    cfg.model = dict(decode_head=dict(num_classes=1))
    assert find(cfg) == {}
