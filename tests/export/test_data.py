"""What files tell of a config's data."""

import pytest
from exports import small_config
from mmengine.config import Config
from mmengine.registry import init_default_scope
from small_configs import CONFIGS

from repnext_mm.demo.shapes import generate_shapes
from repnext_mm.evaluation import exported_model as evaluation
from repnext_mm.export import data
from repnext_mm.export.data import (
    FALLBACK_SHAPE,
    dataset_images,
    describe_classes,
    describe_data,
    sample_images,
    size_rules,
    test_meta,
    usual_shape,
)

test_meta.__test__ = False

TASKS = {'mmdet': 'detection', 'mmseg': 'segmentation', 'mmpretrain': 'classification'}
NAMES = [
    ('mask_rcnn_repnext_tiny_coco', 80, (800, 1067)),
    ('upernet_repnext_tiny_ade20k', 150, (512, 683)),
    ('fpn_repnext_m0_ade20k', 150, (512, 704)),
    ('repnext_m0_imagenet', 1000, (224, 224)),
]


def test_other_names_for_as_many_classes_are_a_warning(monkeypatch):
    said = []
    monkeypatch.setattr(evaluation, 'print_log', lambda text, **options: said.append(text))
    cfg = small_config('upernet_repnext_tiny_ade20k')
    names = list(test_meta(cfg)['classes'])
    for classes in (names, None, ['my wall', *names[1:]]):
        assert not said
        evaluation.check_config(cfg, 'x.onnx', dict(task='segmentation', classes=classes))
    assert len(said) == 1 and 'x.onnx names its classes my wall, ' in said[0]


@pytest.mark.distribution
@pytest.mark.parametrize(('name', 'classes', 'shape'), NAMES, ids=lambda value: str(value))
def test_classes_and_size_come_from_the_test_data(name, classes, shape):
    cfg = small_config(name)
    init_default_scope(cfg.default_scope)
    described = describe_data(cfg, TASKS[cfg.default_scope])
    assert len(described['classes']) == classes and described['resize']
    if described['palette'] is not None:
        assert len(described['palette']) == classes
    assert usual_shape(cfg, TASKS[cfg.default_scope]) == shape


def test_palette_has_a_colour_for_each_class():
    colours = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert describe_classes(dict(classes=['a', 'b'], palette=colours)) == dict(
        classes=['a', 'b'], palette=colours[:2]
    )
    for palette in ('random', colours[:1], None):
        assert describe_classes(dict(classes=['a', 'b'], palette=palette))['palette'] is None


def test_config_without_data_gives_generated_images():
    shapes = [usual_shape(cfg, 'features') for cfg in (None, Config())]
    assert shapes == [FALLBACK_SHAPE, FALLBACK_SHAPE]
    assert describe_data(None, 'features') == dict(resize=None, classes=None, palette=None)
    first, second = sample_images(None, [(40, 60), (33, 21)])
    assert first.shape == (40, 60, 3) and second.shape == (33, 21, 3)
    assert first.std() > 10


@pytest.fixture
def warnings(monkeypatch) -> list[str]:
    """What is logged."""
    found = []
    monkeypatch.setattr(data, 'print_log', lambda text, **options: found.append(text))
    return found


@pytest.mark.parametrize(
    ('step', 'task', 'words'),
    [
        (dict(type='Polish'), 'detection', 'Polish'),
        (dict(type='CenterCrop', crop_size=64), 'segmentation', 'CenterCrop'),
        (dict(type='CenterCrop', crop_size=64), 'classification', None),
    ],
)
def test_steps_that_no_rule_describes_are_warned_of(step, task, words, warnings):
    pipeline = [dict(type='LoadImageFromFile'), step, dict(type='PackDetInputs')]
    inner = dict(type='X', pipeline=pipeline)
    nested = dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', dataset=inner), {}])
    for dataset in (inner, nested):
        warnings.clear()
        rules = size_rules(Config(dict(test_dataloader=dict(dataset=dataset))), task)
        assert (rules is None) == bool(words) == bool(warnings)
        assert not words or f'step {words}' in warnings[0]


def test_pipeline_that_is_missing_is_warned_of(warnings):
    cfg = Config(dict(test_dataloader=dict(dataset=dict(type='X'))))
    assert size_rules(cfg, 'detection') is None and 'no pipeline' in warnings[0]


def test_classes_may_stand_in_a_file(tmp_path):
    (tmp_path / 'classes.txt').write_text('cat\ndog\n')
    dataset = dict(type='X', metainfo=dict(classes=str(tmp_path / 'classes.txt')))
    cfg = Config(dict(test_dataloader=dict(dataset=dataset)))
    assert describe_classes(test_meta(cfg))['classes'] == ['cat', 'dog']
    assert describe_classes(dict(classes='gone.txt'))['classes'] is None


def test_data_that_cannot_be_read_is_warned_of(warnings, tmp_path, monkeypatch):
    monkeypatch.setenv('SHAPES_ROOT', str(tmp_path))
    cfg = Config.fromfile(CONFIGS / 'demo' / 'mask_rcnn_repnext_slim_shapes.py')
    init_default_scope('mmdet')
    assert sample_images(cfg, [(40, 60)])[0].shape == (40, 60, 3)
    assert 'generated images' in warnings[0] and str(tmp_path) in warnings[0]


def test_images_are_spread_over_the_dataset(tmp_path, monkeypatch):
    root = generate_shapes(tmp_path / 'shapes', train=7, val=2)
    monkeypatch.setenv('SHAPES_ROOT', str(root))
    cfg = Config.fromfile(CONFIGS / 'demo' / 'mask_rcnn_repnext_slim_shapes.py')
    init_default_scope('mmdet')
    images = list(dataset_images(cfg, 'train', 3))
    assert len(images) == 3 and images[0].ndim == 3
    assert len(list(dataset_images(cfg, 'test', 50))) == 2
    with pytest.raises(ValueError, match='no other_dataloader'):
        list(dataset_images(cfg, 'other', 3))
