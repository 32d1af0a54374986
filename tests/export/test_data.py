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
    TestData,
    classes_and_palette,
    dataset_images,
    dataset_meta_of,
    read_test_data,
)
from repnext_mm.runtime import FileSpec, InputSpec

TestData.__test__ = False

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
    names = tuple(dataset_meta_of(cfg)['classes'])
    for classes in (names, None, ('my wall', *names[1:])):
        assert not said
        images = InputSpec((0.0,), (1.0,))
        spec = FileSpec('segmentation', 'model', 'fused', 'float32', (), images, classes=classes)
        evaluation.check_config(cfg, 'x.onnx', spec)
    assert len(said) == 1 and 'x.onnx names its classes my wall, ' in said[0]


@pytest.mark.parametrize('name', ['mask_rcnn_repnext_tiny_coco', 'retinanet'])
def test_what_a_graph_has_for_good_and_the_config_says_otherwise_is_a_warning(monkeypatch, name):
    said = []
    monkeypatch.setattr(evaluation, 'print_log', lambda text, **options: said.append(text))
    test_cfg = dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)
    if name.startswith('mask'):
        test_cfg = dict(rcnn=test_cfg | dict(mask_thr_binary=0.5))
    details = dict(
        score_threshold=0.05,
        mask_threshold=0.5 if name.startswith('mask') else None,
        max_per_image=100,
        nms=dict(type='nms', iou_threshold=0.5),
    )

    def warn(**changes):
        said.clear()
        images = InputSpec((0.0,), (1.0,))
        spec = FileSpec(
            'detection', 'model', 'fused', 'float32', (), images, details=details | changes
        )
        evaluation.warn_of_baked_in(Config(dict(model=dict(test_cfg=test_cfg))), 'x.onnx', spec)
        return said

    assert warn() == []
    assert warn(max_per_image=None, nms=None) == []  # a file of an earlier version
    (text,) = warn(score_threshold=0.3)
    assert 'score_threshold=0.3 in its graph' in text and 'test_cfg says 0.05' in text
    (text,) = warn(nms=dict(type='nms', iou_threshold=0.6))
    assert 'nms_iou=0.6' in text and 'says 0.5' in text
    assert len(warn(max_per_image=300, nms=dict(iou_threshold=0.5, class_agnostic=True))) == 2


@pytest.mark.distribution
@pytest.mark.parametrize(('name', 'classes', 'shape'), NAMES, ids=lambda value: str(value))
def test_classes_and_size_come_from_the_test_data(name, classes, shape):
    cfg = small_config(name)
    init_default_scope(cfg.default_scope)
    found = read_test_data(cfg, keeps_positions=cfg.default_scope != 'mmpretrain')
    assert len(found.classes) == classes and found.rules
    if found.palette is not None:
        assert len(found.palette) == classes
    assert found.usual_shape() == shape


def test_palette_has_a_colour_for_each_class():
    colours = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    names, palette = classes_and_palette(dict(classes=['a', 'b'], palette=colours))
    assert names == ('a', 'b') and palette == ((1, 2, 3), (4, 5, 6))
    for other in ('random', colours[:1], None):
        assert classes_and_palette(dict(classes=['a', 'b'], palette=other)) == (names, None)


def test_classes_of_the_checkpoint_take_the_place_of_those_of_the_config():
    data = TestData(classes=('a', 'b'), palette=((1, 2, 3), (4, 5, 6)))
    assert data.with_classes({}) is data
    assert data.with_classes(dict(classes=('c',))) == TestData(classes=('c',))


def test_config_without_data_gives_generated_images():
    for cfg in (None, Config()):
        assert read_test_data(cfg, count=3) == TestData()
    assert TestData().usual_shape() == FALLBACK_SHAPE
    first, second = TestData().sample([(40, 60), (33, 21)])
    assert first.shape == (40, 60, 3) and second.shape == (33, 21, 3)
    assert first.std() > 10


@pytest.fixture
def warnings(monkeypatch) -> list[str]:
    """What is logged."""
    found = []
    monkeypatch.setattr(data, 'print_log', lambda text, **options: found.append(text))
    return found


@pytest.mark.parametrize(
    ('step', 'positions', 'words'),
    [
        (dict(type='Polish'), True, 'Polish'),
        (dict(type='CenterCrop', crop_size=64), True, 'CenterCrop'),
        (dict(type='CenterCrop', crop_size=64), False, None),
    ],
)
def test_steps_that_no_rule_describes_are_warned_of_once(step, positions, words, warnings):
    pipeline = [dict(type='LoadImageFromFile'), step, dict(type='PackDetInputs')]
    inner = dict(type='X', pipeline=pipeline)
    nested = dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', dataset=inner), {}])
    for dataset in (inner, nested):
        warnings.clear()
        cfg = Config(dict(test_dataloader=dict(dataset=dataset)))
        rules = read_test_data(cfg, positions).rules
        assert (rules is None) == bool(words) and len(warnings) == bool(words)
        assert not words or f'step {words}' in warnings[0]


def test_pipeline_that_is_missing_is_warned_of(warnings):
    cfg = Config(dict(test_dataloader=dict(dataset=dict(type='X'))))
    assert read_test_data(cfg).rules is None and 'no pipeline' in warnings[0]


def test_classes_may_stand_in_a_file(tmp_path):
    (tmp_path / 'classes.txt').write_text('cat\ndog\n')
    dataset = dict(type='X', metainfo=dict(classes=str(tmp_path / 'classes.txt')))
    cfg = Config(dict(test_dataloader=dict(dataset=dataset)))
    assert classes_and_palette(dataset_meta_of(cfg)) == (('cat', 'dog'), None)
    assert classes_and_palette(dict(classes='gone.txt')) == (None, None)


def test_data_that_cannot_be_read_is_warned_of(warnings, tmp_path, monkeypatch):
    monkeypatch.setenv('SHAPES_ROOT', str(tmp_path))
    cfg = Config.fromfile(CONFIGS / 'demo' / 'mask_rcnn_repnext_slim_shapes.py')
    init_default_scope('mmdet')
    assert read_test_data(cfg, count=1).sample([(40, 60)])[0].shape == (40, 60, 3)
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
