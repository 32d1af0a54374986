"""What is found out before anything is trained."""

import numpy as np
import pytest
from commands import ROOT, quick_runners
from mmengine.config import Config
from PIL import Image

from repnext_mm.checks.heads import class_counts
from repnext_mm.experiments.checks import check_heads, check_rows, fingerprint_of
from repnext_mm.experiments.specification import (
    Column,
    Experiment,
    ExperimentRow,
    read_experiment,
)
from repnext_mm.export.data import classes_and_palette, dataset_meta_of
from repnext_mm.launch.command_line import config_of

CONFIG = str(ROOT / 'configs' / 'small' / 'repnext_slim_cifar10.py')
SLIM = {'model.backbone.arch.channels': [8, 8, 8], 'model.head.in_channels': 8}


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """Ten classes with an image each."""
    for split in ('train', 'test'):
        for number in range(10):
            path = tmp_path / 'cifar10' / split / f'class_{number}' / '0.png'
            path.parent.mkdir(parents=True)
            Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(path)
    monkeypatch.setenv('CIFAR10_ROOT', str(tmp_path / 'cifar10'))
    return tmp_path / 'cifar10'


def check(options, forms=('training', 'fused', 'plain')):
    rows = [ExperimentRow('a', CONFIG, SLIM | options), ExperimentRow('p', published={'x': '1'})]
    experiment = Experiment('e', 'T', [Column('model', 'name')], rows, (32, 32), forms=forms)
    with quick_runners():
        return check_rows(experiment, rows)


def test_checked_rows_know_their_sizes_and_forms(cifar10):
    found = check({})
    assert list(found) == ['a'] and found['a'].forms == ('training', 'fused', 'plain')
    assert found['a'].sizes['plain'].parameters > found['a'].sizes['training'].parameters
    assert check({}, ('training', 'fused'))['a'].forms == ('training', 'fused')


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        ({'model.head.num_classes': 7}, ValueError, r'model.head.num_classes=7.*10 classes.*=10'),
        ({'model.backbone.arch.variant': 'v9'}, ValueError, "variant 'v9'"),
        ({'model.backbone.type': 'NoNet'}, KeyError, 'NoNet'),
        (
            {'val_dataloader.dataset.data_prefix': 'no'},
            FileNotFoundError,
            'prepare_data.py cifar10',
        ),
    ],
)
def test_rows_that_cannot_work_are_named_before_training(cifar10, options, error, message):
    with pytest.raises(error, match=message) as info:
        check(options)
    assert "row 'a'" in str(info.value) and 'repnext_slim_cifar10.py' in str(info.value)


def test_missing_data_names_the_tool_that_makes_it(tmp_path, monkeypatch):
    monkeypatch.setenv('CIFAR10_ROOT', str(tmp_path / 'cifar10'))
    with pytest.raises(FileNotFoundError, match=r"row 'a'.*prepare_data.py cifar10 ARCHIVE"):
        check({})


def test_heads_are_found_at_any_depth():
    model = dict(
        bbox_head=[dict(num_classes=1), dict(num_classes=2)],
        num_classes=4,
        teacher=dict(head=dict(num_classes=1000)),
        data_preprocessor=dict(num_classes=5),
        roi_head=dict(mask_head=dict(num_classes=3)),
    )
    assert list(class_counts(model, 'model')) == [
        ('model.num_classes', 4),
        ('model.bbox_head[0].num_classes', 1),
        ('model.bbox_head[1].num_classes', 2),
        ('model.roi_head.mask_head.num_classes', 3),
    ]


def test_classes_come_from_the_metainfo_of_the_data():
    dataset = dict(type='BaseSegDataset', metainfo=dict(classes=('sky', 'road')))
    model = dict(decode_head=dict(num_classes=3))
    cfg = Config(dict(default_scope='mmseg', test_dataloader=dict(dataset=dataset), model=model))
    with pytest.raises(ValueError, match=r'decode_head.num_classes=3, .* 2 classes \(sky, road\)'):
        check_heads(cfg)


@pytest.mark.parametrize('name', ['imagenet', 'imagewoof', 'cifar100', 'nuclei', 'camvid'])
def test_rows_of_the_repository_have_heads_for_their_data(name, monkeypatch):
    monkeypatch.setattr('repnext_mm.experiments.checks.classes_of', known_classes)
    experiment = read_experiment(ROOT / 'configs' / 'experiments' / f'{name}.py')
    for row in experiment.rows:
        if row.config:
            check_heads(config_of(row.config, dict(row.options), backbone=row.backbone))


def known_classes(cfg):
    """The classes of the test data; those of folders by their number, as data is not here."""
    classes, _ = classes_and_palette(dataset_meta_of(cfg))
    return classes or ('folder',) * cfg.data_preprocessor.num_classes


def test_fingerprint_changes_with_training_but_not_with_places():
    loader = dict(dataset=dict(type='X', data_root='a'), batch_size=2)
    cfg = Config(dict(model=dict(depth=1), train_dataloader=loader, work_dir='a'))
    first = fingerprint_of(cfg)
    cfg.train_dataloader.dataset.data_root = 'b'
    cfg.work_dir = 'b'
    assert fingerprint_of(cfg) == first
    cfg.model.depth = 2
    assert fingerprint_of(cfg) != first
