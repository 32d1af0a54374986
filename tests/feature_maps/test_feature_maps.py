"""Looking into networks: the same in every form, and each branch where it belongs."""

import functools

import numpy as np
import pytest
import torch
from exports import noise, small_config, small_model
from torch import nn

from repnext_mm.feature_maps.activation import CAM_METHODS, WITHOUT_TARGET, Activation
from repnext_mm.feature_maps.branches import block_maps
from repnext_mm.feature_maps.layers import layer_outputs, stage_layers
from repnext_mm.feature_maps.network_image import NetworkImage
from repnext_mm.feature_maps.pages import branches_page, varied_channels
from repnext_mm.feature_maps.targets import Scores, class_number, find_targets
from repnext_mm.trained import merged_copy

TASKS = {
    'segmentation': 'upernet_repnext_tiny_ade20k',
    'classification': 'repnext_m0_imagenet',
    'detection': 'mask_rcnn_repnext_tiny_coco',
}
CLASSES = list('abcde')
PIXELS = noise(64, 96)


class Opened:
    """A small model with an image that went through its data preprocessor."""

    def __init__(self, task: str):
        from repnext_mm.export.tasks import task_named
        from repnext_mm.export.tasks.base import to_bgr

        self.task = task
        self.model = small_model(small_config(TASKS[task])).requires_grad_(False)
        sample = task_named(task).new_sample(PIXELS.shape[:2])
        inputs = to_bgr(PIXELS)
        batch = dict(
            inputs=inputs[None] if task == 'classification' else [inputs], data_samples=[sample]
        )
        data = self.model.data_preprocessor(batch, False)
        self.image = NetworkImage(PIXELS, data['inputs'], data['data_samples'], PIXELS.shape[:2])
        self.layers = stage_layers(self.model, self.image.inputs)

    def forms(self) -> dict[str, nn.Module]:
        names = ['fused'] if self.task == 'classification' else ['fused', 'plain']
        merged = {form: merged_copy(self.model, form) for form in names}
        return {'training': self.model} | {k: m.requires_grad_(False) for k, m in merged.items()}

    def scores(self, model: nn.Module) -> Scores:
        return Scores(model, self.task, self.image)


@pytest.fixture(scope='module')
def opened():
    """A function that opens each task once."""
    return functools.cache(Opened)


@pytest.mark.parametrize('task', TASKS)
def test_stages_are_the_same_in_every_form(task, opened):
    subject = opened(task)
    assert subject.layers == [f'backbone.stages.{n}' for n in range(4)]
    found = {
        form: layer_outputs(model, subject.layers, lambda m=model: m.backbone(subject.image.inputs))
        for form, model in subject.forms().items()
    }
    for outputs in found.values():
        for name, expected in found['training'].items():
            torch.testing.assert_close(outputs[name], expected, rtol=1e-3, atol=1e-4)
    assert len({tuple(output.shape) for output in found['training'].values()}) == 4


@pytest.mark.distribution
@pytest.mark.parametrize(
    ('task', 'method'),
    [
        ('segmentation', 'gradcam'),
        ('classification', 'layercam'),
        ('detection', 'hirescam'),
        ('detection', 'eigencam'),
    ],
)
def test_activation_is_the_same_in_every_form(task, method, opened):
    pytest.importorskip('pytorch_grad_cam')
    subject = opened(task)
    found = {}
    for form, model in subject.forms().items():
        scores = subject.scores(model)
        target = None if method in WITHOUT_TARGET else find_targets(scores, CLASSES)[0]
        found[form] = Activation(model, scores, method).map_of('backbone.stages.1', target)
    expected = found['training']
    assert expected.shape == PIXELS.shape[:2] and expected.max() > 0.5 > expected.min() >= 0
    for actual in found.values():
        assert np.abs(actual - expected).max() < 0.02
    others = find_targets(subject.scores(subject.model), CLASSES, ['a'])
    if task != 'detection' and others:
        other = Activation(subject.model, subject.scores(subject.model), method)
        assert np.abs(other.map_of('backbone.stages.3', others[0]) - expected).max() > 0.1


@pytest.mark.parametrize(
    ('task', 'units', 'names'),
    [
        ('segmentation', ['token_mixer'], ['3x3', '3x3, dilation 2', '3x3, dilation 3', '1x1']),
        (
            'classification',
            ['token_mixer.conv_s', 'token_mixer.conv_m'],
            ['conv_3_3', 'conv_3_w', 'conv_3_h', 'conv_2_2'],
        ),
    ],
)
def test_branches_add_up_to_the_merged_convolution(task, units, names, opened):
    subject = opened(task)
    found = block_maps(subject.model, 1, 0, subject.image.inputs)
    assert [unit.name for unit in found] == units and set(names) <= set(found[0].branches)
    for unit in found:
        torch.testing.assert_close(sum(unit.branches.values()), unit.total)
        torch.testing.assert_close(unit.merged, unit.total, rtol=1e-3, atol=1e-4)
        assert all(maps.std() > 0 for maps in unit.branches.values())
    if task == 'classification':
        assert {'conv_7_w, conv_7_h', 'conv_5_w, conv_5_h'} <= set(found[1].branches)
        assert len(found[1].branches) == 5
    page = branches_page(subject.image, found, 2)
    assert page.dtype == np.uint8 and page.shape[2] == 3 and page.std() > 10
    assert not any(module._forward_hooks for module in subject.model.modules())


def test_a_backbone_of_others_shows_its_outputs():
    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
            self.norm = nn.Identity()

        def forward(self, x):
            x = self.first(x)
            return x, self.second(x) + 1

    model = nn.Module()
    model.backbone = Backbone()
    inputs = torch.rand(1, 3, 9, 9)
    assert stage_layers(model, inputs) == ['backbone.first']  # the sum is no layer's output
    with pytest.raises(ValueError, match=r"no layer 'backbone\.third'.*'second'"):
        layer_outputs(model, ['backbone.third'], lambda: model.backbone(inputs))
    with pytest.raises(ValueError, match="'backbone' puts out no feature map"):
        layer_outputs(model, ['backbone'], lambda: model.backbone(inputs))
    with pytest.raises(ValueError, match='is no RepNeXt'):
        block_maps(model, 0, 0, inputs)


def test_errors_say_what_there_is(opened):
    subject = opened('segmentation')
    scores = subject.scores(subject.model)
    with pytest.raises(ValueError, match=r'no block 9\.0: the stages 0 to 3'):
        block_maps(subject.model, 9, 0, subject.image.inputs)
    with pytest.raises(ValueError, match='is merged, so it has no branches'):
        block_maps(merged_copy(subject.model), 0, 0, subject.image.inputs)
    with pytest.raises(ValueError, match="no class 'nose': choose from"):
        find_targets(scores, CLASSES, ['nose'])
    with pytest.raises(ValueError, match='not in segmentation: name classes'):
        find_targets(scores, CLASSES, number=0)
    detector = opened('detection')
    with pytest.raises(ValueError, match='no object 1000'):
        find_targets(detector.scores(detector.model), CLASSES, number=1000)
    assert find_targets(detector.scores(detector.model), CLASSES, threshold=1.1) == []
    assert class_number('b', CLASSES) == class_number('1', CLASSES) == 1


def test_a_score_that_a_layer_has_no_part_in_is_named(opened):
    pytest.importorskip('pytorch_grad_cam')
    subject = opened('segmentation')
    scores = subject.scores(subject.model)
    target = find_targets(scores, CLASSES)[0]
    with pytest.raises(ValueError, match='does not depend on a feature map'):
        Activation(subject.model, scores, 'gradcam').map_of('auxiliary_head', target)
    with pytest.raises(ValueError, match=f'unknown method .*{next(iter(CAM_METHODS))}'):
        Activation(subject.model, scores, 'cam')


def test_maps_lie_where_they_were_computed():
    image = NetworkImage(np.zeros((40, 60, 3), np.uint8), torch.zeros(1, 3, 32, 32), [], (20, 30))
    values = np.zeros((4, 4), np.float32)
    values[1, 1] = 1
    shown = image.on_image(values, smooth=False)  # cells of 8 pixels, the image is twice as large
    assert shown.shape == (40, 60) and shown[16:32, 16:32].min() == 1 and shown.sum() == 16 * 16
    maps = torch.zeros(5, 2, 2)
    maps[3, 0, 0], maps[1, 1, 1] = 2, 1
    assert varied_channels(maps, 2) == [1, 3]
