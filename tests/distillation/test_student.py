"""Students of features: what they learn, what they are, and what they refuse."""

import copy

import pytest
import torch
from helpers import assert_close, assert_same_state, randomize, state_of
from mmengine.hooks import EMAHook
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader
from runners import Logits, build_runner
from students import (
    STAGES,
    TEACHER,
    WIDE,
    TinyModel,
    image_loader,
    save_teacher,
    tiny_student,
)
from torch import nn

from repnext_mm.checkpoints.merging import form_aware_parts
from repnext_mm.distillation import ChannelWiseDivergence, build_student
from repnext_mm.hooks import ReparameterizeHook
from repnext_mm.trained import merged_copy

pytestmark = pytest.mark.distribution

NECK = [dict(module='neck')]
BACKBONE = [dict(module='backbone', channels=STAGES)]
BOTH = [*NECK, *BACKBONE]
LABELS = [0, 2]


def images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_features_are_compared_with_those_of_the_teacher(tmp_path):
    features = [dict(NECK[0], loss=dict(type=ChannelWiseDivergence, temperature=2)), *BACKBONE]
    model = tiny_student(save_teacher(tmp_path), features).double().train()
    x = images().double()
    losses = model.loss(x, LABELS)
    teacher = model.teacher.model.double()
    with torch.no_grad():
        stages, neck = teacher.backbone(x), teacher.extract_feat(x)
    own = model.backbone(x)
    assert list(losses) == ['loss', 'loss_distill_neck', 'loss_distill_backbone']
    (found,) = losses['loss_distill_neck']
    assert_close(found, ChannelWiseDivergence(2)(model.neck(own[-1]), neck), 1e-6)
    connectors = model.feature_losses[1].connectors
    assert [type(connector).__name__ for connector in connectors] == [
        'Identity', 'Identity', 'Connector', 'Connector',
    ]  # fmt: skip
    for loss, connect, wanted, stage in zip(
        losses['loss_distill_backbone'], connectors, stages, own, strict=True
    ):
        assert_close(loss, ChannelWiseDivergence()(connect(stage), wanted), 1e-6)


def test_gradients_reach_the_student_and_its_connectors_but_not_the_teacher(tmp_path):
    model = tiny_student(save_teacher(tmp_path), BOTH).train()
    losses = model.loss(images(), LABELS)
    parts = [*losses['loss_distill_neck'], *losses['loss_distill_backbone']]
    sum(parts).backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    assert without == {'head.weight', 'head.bias'}
    teacher = model.teacher.model
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def test_student_is_its_class_with_its_checkpoint(tmp_path):
    model = tiny_student(save_teacher(tmp_path), BOTH)
    torch.manual_seed(0)
    plain = TinyModel()
    assert isinstance(model, TinyModel) and list(model.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(model.state_dict(), strict=True)
    model.load_state_dict(randomize(plain).state_dict(), strict=True)
    x = images()
    with torch.no_grad():
        assert_close(model.eval()(x), plain.eval()(x), 0)
        predicted = model(x, mode='predict')
    assert_close(predicted[0]['logits'], plain(x)[0], 0)
    assert model.teacher.model is None
    merged = merged_copy(model)
    with torch.no_grad():
        assert_close(merged(x), plain(x), 1e-5)


def test_no_hook_is_left_and_copies_share_the_teacher(tmp_path):
    model = tiny_student(save_teacher(tmp_path), BOTH).train()
    model.loss(images(), LABELS)
    model.loss(images(), LABELS)
    twin = copy.deepcopy(model)
    assert twin.teacher is model.teacher and type(twin) is type(model)
    twin.loss(images(), LABELS)
    for part in (model, twin, model.teacher.model):
        assert not any(module._forward_hooks for module in part.modules())


def test_hooks_are_removed_when_the_loss_fails(tmp_path):
    model = tiny_student(save_teacher(tmp_path), NECK).train()
    with pytest.raises(ValueError, match='batch_size'):
        model.loss(images(), [0, 1, 2])
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize('merge', [False, True])
def test_fixed_norms_run_merged_with_the_same_losses(tmp_path, merge):
    options = dict(variant='m0', channels=(8, 16, 32, 64), norm_eval=True)
    features = [dict(module='backbone.stages.2', channels=[(32, 20)])]
    path = save_teacher(tmp_path)
    model = tiny_student(path, features, merge_frozen_norms=merge, **options).double().train()
    plain = tiny_student(path, features, **options).double().train()
    for name, loss in model.loss(images().double(), LABELS).items():
        assert_close(loss, plain.loss(images().double(), LABELS)[name], 1e-9)


def test_mixed_precision_compares_in_float32(tmp_path):
    model = tiny_student(save_teacher(tmp_path), BOTH).train()
    with torch.autocast('cpu', torch.bfloat16):
        losses = model.loss(images(), LABELS)
    assert losses['loss_distill_neck'][0].dtype == torch.float32
    exact = model.loss(images(), LABELS)['loss_distill_neck'][0]
    assert losses['loss_distill_neck'][0].item() == pytest.approx(exact.item(), rel=0.05)


def test_run_trains_averages_merges_and_leaves_the_teacher_as_it_is(tmp_path):
    path = save_teacher(tmp_path)
    model = tiny_student(path, BOTH)
    start = state_of(model)
    metric = Logits()
    runner = build_runner(
        tmp_path,
        'student',
        [EMAHook(), ReparameterizeHook(val=True)],
        model,
        metric,
        train_dataloader=image_loader(shuffle=True),
        val_dataloader=image_loader(),
        test_dataloader=image_loader(),
    )
    runner.train()
    runner.test()
    teacher = TinyModel(**{k: v for k, v in TEACHER.items() if k != 'type'})
    saved = torch.load(path)['state_dict']
    teacher.load_state_dict(saved)
    assert list(model.teacher.model.state_dict()) == list(saved)
    assert_same_state(model.teacher.model, saved)  # statistics of batch norms too
    content = CheckpointLoader.load_checkpoint(str(tmp_path / 'epoch_2.pth'))
    assert list(content['state_dict']) == list(start)
    assert not torch.equal(content['state_dict']['neck.conv.weight'], start['neck.conv.weight'])
    averages = {name for name in content['ema_state_dict'] if name.startswith('module.')}
    assert averages == {f'module.{name}' for name in start}
    plain = TinyModel()
    plain.load_state_dict(content['state_dict'], strict=True)
    assert metric.logits.shape == (8, 3)


def test_teacher_may_be_of_another_task_and_scope(tmp_path):
    """mmseg's segmentor teaches the backbone of a model that classifies."""
    from mmseg.registry import MODELS

    config = dict(
        type='mmseg.EncoderDecoder',
        backbone=dict(type='repnext_mm.RepNeXt', arch=dict(channels=WIDE, depths=(1, 1, 1, 1))),
        decode_head=dict(
            type='mmseg.FCNHead',
            in_channels=32,
            in_index=-1,
            channels=8,
            num_classes=4,
            norm_cfg=dict(type='SyncBN'),
        ),
    )
    path = tmp_path / 'segmentor.pth'
    torch.save(dict(state_dict=MODELS.build(config).state_dict()), path)
    model = tiny_student(str(path), BACKBONE, teacher_config=config).train()
    with DefaultScope.overwrite_default_scope('repnext_mm'):
        losses = model.loss(images(), LABELS)
    assert len(losses['loss_distill_backbone']) == 4
    # Its logits need its head, whose layers are modules.
    layer = [dict(module='head', teacher_module='decode_head.conv_seg', channels=[(3, 4)])]
    model = tiny_student(str(path), layer, teacher_config=config).train()
    assert list(model.loss(images(), LABELS)) == ['loss', 'loss_distill_head']


def test_teacher_is_read_from_a_config_file_when_training_begins(tmp_path):
    code = (
        "default_scope = 'mmseg'\n"
        "model = dict(type='EncoderDecoder', backbone=dict(type='repnext_mm.RepNeXt', "
        "arch=dict(channels=[8, 12, 16, 24], depths=[1, 1, 1, 1]), deploy='fused'), "
        "decode_head=dict(type='FCNHead', in_channels=24, in_index=-1, channels=8, num_classes=4))"
    )
    config = tmp_path / 'teacher.py'
    model = tiny_student('none.pth', [dict(module='backbone')], teacher_config=config)
    with pytest.raises(FileNotFoundError, match=r'teacher\.py does not exist.*teacher_config'):
        model.train().loss(images(), LABELS)
    config.write_text(code)
    with pytest.raises(FileNotFoundError, match=r'none\.pth does not exist.*teacher_ckpt'):
        model.loss(images(), LABELS)


def test_checkpoint_of_another_teacher_is_an_error(tmp_path):
    path = save_teacher(tmp_path, dict(TEACHER, width=16))
    with pytest.raises(RuntimeError, match=r'neck\.conv\.weight'):
        tiny_student(path, NECK).train().loss(images(), LABELS)


@pytest.mark.parametrize(
    ('features', 'options', 'message'),
    [
        ([dict(module='nek')], {}, "no module 'nek'.*backbone, neck, head"),
        ([dict(module='backbone.stages.9')], {}, "'backbone.stages.9'.*backbone.stages has 0, 1"),
        ([dict(module='neck', teacher_module='backbone')], {}, '1 feature maps.*4: name modules'),
        ([dict(module='backbone')], {}, r'map 2 .*channels=\[...\] with \(16, 20\)'),
        ([dict(module='neck', channels=[(8, 8)] * 2)], {}, 'one pair for each of the 1.*got 2'),
        (
            [dict(module='backbone.stages.1', teacher_module='backbone.stages.2')],
            dict(channels=(8, 20, 20, 24)),
            'same stride; nothing is resized',
        ),
        (NECK, dict(mean=(1.0,)), 'normalizes images with.*its teacher'),
        ([dict(module='data_preprocessor')], {}, 'has put out no feature map.*did not run'),
        (
            [dict(module='backbone.stem')],
            dict(frozen_stages=0),
            "no gradient leads through the student's 'backbone.stem'",
        ),
    ],
)
def test_features_that_do_not_fit_are_named(tmp_path, features, options, message):
    model = tiny_student(save_teacher(tmp_path), features, **options).train()
    with pytest.raises(ValueError, match=message):
        model.loss(images(), LABELS)


@pytest.mark.parametrize('features', [[], NECK * 2])
def test_features_are_named_once(features):
    with pytest.raises(ValueError, match='each once'):
        tiny_student('teacher.pth', features)


def test_teacher_needs_weights():
    with pytest.raises(ValueError, match=r'trained weights.*model\.teacher_ckpt'):
        tiny_student(None, NECK)


def test_student_must_be_a_model():
    arguments = dict(teacher_config={}, teacher_ckpt='x.pth', features=NECK)
    with pytest.raises(KeyError, match="'MaskRNN'"):
        build_student('MaskRNN', **arguments)
    with pytest.raises(TypeError, match='computes losses'):
        build_student(nn.Conv2d, **arguments)


def test_forms_of_the_teacher_do_not_count():
    """Merging a student's checkpoint leaves the config of its teacher alone."""
    part = dict(type='repnext_mm.RepNeXt', arch='m0')
    teacher = dict(backbone=dict(part, deploy='fused'))
    for key in ('teacher', 'teacher_config'):
        assert list(form_aware_parts({'backbone': part, key: teacher})) == ['model.backbone']
