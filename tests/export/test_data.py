"""What files tell of a config's data."""

import pytest
from exports import small_config
from mmengine.config import Config
from mmengine.registry import init_default_scope

from repnext_mm.demo.shapes import generate_shapes
from repnext_mm.export.data import (
    FALLBACK_SHAPE,
    dataset_images,
    describe_classes,
    describe_data,
    sample_images,
    usual_shape,
)

NAMES = [
    ('mask_rcnn_repnext_tiny_coco', 80, (800, 1067)),
    ('upernet_repnext_tiny_ade20k', 150, (512, 683)),
    ('fpn_repnext_m0_ade20k', 150, (512, 704)),
    ('repnext_m0_imagenet', 1000, (224, 224)),
]


@pytest.mark.distribution
@pytest.mark.parametrize(('name', 'classes', 'shape'), NAMES, ids=lambda value: str(value))
def test_classes_and_size_come_from_the_test_data(name, classes, shape):
    cfg = small_config(name)
    init_default_scope(cfg.default_scope)
    described = describe_data(cfg)
    assert len(described['classes']) == classes and described['resize']
    if described['palette'] is not None:
        assert len(described['palette']) == classes
    assert usual_shape(cfg) == shape


def test_palette_has_a_colour_for_each_class():
    colours = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert describe_classes(dict(classes=['a', 'b'], palette=colours)) == dict(
        classes=['a', 'b'], palette=colours[:2]
    )
    for palette in ('random', colours[:1], None):
        assert describe_classes(dict(classes=['a', 'b'], palette=palette))['palette'] is None


def test_config_without_data_gives_generated_images():
    assert usual_shape(None) == usual_shape(Config()) == FALLBACK_SHAPE
    assert describe_data(None) == dict(resize=None, classes=None, palette=None)
    first, second = sample_images(None, [(40, 60), (33, 21)])
    assert first.shape == (40, 60, 3) and second.shape == (33, 21, 3)
    assert first.std() > 10


def test_unknown_step_is_warned_of(caplog):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Polish'), dict(type='PackDetInputs')]
    cfg = Config(dict(test_dataloader=dict(dataset=dict(type='X', pipeline=pipeline))))
    from repnext_mm.export.data import size_rules

    assert size_rules(cfg) is None


def test_images_are_spread_over_the_dataset(tmp_path, monkeypatch):
    data = generate_shapes(tmp_path / 'shapes', train=7, val=2)
    monkeypatch.setenv('SHAPES_ROOT', str(data))
    from small_configs import CONFIGS

    cfg = Config.fromfile(CONFIGS / 'demo' / 'mask_rcnn_repnext_slim_shapes.py')
    init_default_scope('mmdet')
    images = list(dataset_images(cfg, 'train', 3))
    assert len(images) == 3 and images[0].ndim == 3
    assert len(list(dataset_images(cfg, 'test', 50))) == 2
    with pytest.raises(ValueError, match='no other_dataloader'):
        list(dataset_images(cfg, 'other', 3))
