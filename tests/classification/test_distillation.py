"""A student that learns from a teacher."""

import copy
from pathlib import Path

import mmpretrain
import pytest
import timm
import torch
from classifiers import LOSS, TEACHER, samples
from helpers import slim
from mmengine.config import Config
from mmengine.registry import DefaultScope

from repnext_mm.classification import DistilledClassifier

pytestmark = pytest.mark.distribution


def student(teacher: dict = TEACHER):
    return DistilledClassifier(
        backbone=dict(type='repnext_mm.RepNeXt', arch=slim('m0'), out_indices=-1),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(
            type='repnext_mm.RepNeXtClsHead',
            num_classes=3,
            in_channels=64,
            distillation_weight=0.5,
            loss=LOSS,
        ),
        teacher=teacher,
        data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor'),
    )


def test_student_learns_from_labels_and_from_the_teacher():
    torch.manual_seed(0)
    model = student().train()
    images = torch.randn(4, 3, 64, 64)
    losses = model.loss(images, samples([0, 1, 2, 0]))
    assert losses.keys() == {'loss', 'loss_distill'}
    teacher = model.teacher.model
    scores = model.head(model.extract_feat(images))[1]
    expected = torch.nn.functional.cross_entropy(scores, teacher(images).argmax(1))
    torch.testing.assert_close(losses['loss_distill'], 0.5 * expected)
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())


def test_teacher_is_built_for_training_only_and_belongs_to_nobody():
    model = student()
    with torch.no_grad():
        model.eval()(torch.randn(1, 3, 64, 64), mode='tensor')
    assert model.teacher.model is None
    names = [*model.state_dict(), *(n for n, _ in model.named_modules())]
    model.train().loss(torch.randn(2, 3, 64, 64), samples([0, 1]))
    assert [*model.state_dict(), *(n for n, _ in model.named_modules())] == names
    assert copy.deepcopy(model).teacher is model.teacher


def test_teacher_is_built_in_its_own_scope():
    model = student().train()
    with DefaultScope.overwrite_default_scope('repnext_mm'):
        model.loss(torch.randn(2, 3, 64, 64), samples([0, 1]))


@pytest.mark.parametrize('name', ['resnet18', 'regnety_002'])
def test_weights_that_timm_has_loaded_stay(name, monkeypatch):
    torch.manual_seed(0)
    loaded = timm.create_model(name, num_classes=3)
    before = {key: value.clone() for key, value in loaded.state_dict().items()}
    monkeypatch.setattr('timm.models.create_model', lambda *args, **kwargs: loaded)
    model = student(dict(type='mmpretrain.TimmClassifier', model_name=name, pretrained=True))
    model.teacher.labels(torch.randn(2, 3, 64, 64))
    after = model.teacher.model.model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_weights_that_a_config_names_are_loaded(tmp_path):
    reference = mmpretrain.models.build_classifier(TEACHER)
    torch.save(dict(state_dict=reference.state_dict()), tmp_path / 'teacher.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'teacher.pth'))
    model = student(dict(TEACHER, init_cfg=init_cfg))
    model.teacher.labels(torch.randn(2, 3, 64, 64))
    state = model.teacher.model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in reference.state_dict().items())


def test_teacher_of_the_configs_is_regnety_16gf():
    """Without its weights, which timm downloads."""
    configs = Path(__file__).parents[2] / 'configs'
    cfg = Config.fromfile(configs / 'repnext_m0_distill_imagenet.py').model.teacher
    assert cfg.pop('pretrained') is True and cfg.model_name in timm.list_pretrained()
    with torch.device('meta'):
        model = timm.create_model(cfg.model_name)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(83.6e6, rel=0.01)
