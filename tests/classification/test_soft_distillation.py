"""Students of soft labels, with images that have no others."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from classifiers import LOSS, TEACHER, samples
from helpers import assert_same_state, randomize, slim, state_of
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, Runner
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS

from repnext_mm.classification import LabelFreeDataPreprocessor, SoftDistilledClassifier
from repnext_mm.distillation import JensenShannonDivergence

pytestmark = pytest.mark.distribution

HEAD = dict(type='repnext_mm.RepNeXtClsHead', num_classes=3, in_channels=64, loss=LOSS)
PLAIN_HEAD = dict(type='mmpretrain.LinearClsHead', num_classes=3, in_channels=64)


def student(head: dict = HEAD, **options):
    options = dict(teacher=TEACHER) | options
    return SoftDistilledClassifier(
        backbone=dict(type='repnext_mm.RepNeXt', arch=slim('m0'), out_indices=-1),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=head,
        **options,
    )


def divergence(p: list[float], q: list[float]) -> float:
    """Jensen and Shannon's, written out."""
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    parts = ([a * math.log(a / m) for a, m in zip(x, middle, strict=True)] for x in (p, q))
    return sum(map(sum, parts)) / 2


@pytest.mark.parametrize('head', [HEAD, PLAIN_HEAD], ids=['two classifiers', 'one'])
def test_loss_is_the_divergence_from_the_teacher_and_no_label_counts(head):
    torch.manual_seed(0)
    model = student(head).double().train()
    images = torch.randn(4, 3, 64, 64, dtype=torch.float64)
    losses = model.loss(images, samples([0, 1, 2, 0]))
    assert list(losses) == ['loss_distill']
    assert model.loss(images, samples([1, 1, 1, 1])) == losses == model.loss(images)
    teacher = model.teacher.model
    own, other = (
        network(images).softmax(1).tolist()
        for network in (lambda x: model.head(model.extract_feat(x)), teacher)
    )
    expected = sum(map(divergence, own, other)) / 4
    assert losses['loss_distill'].item() == pytest.approx(expected, rel=1e-9)
    losses['loss_distill'].backward()
    assert all(p.grad is not None for p in model.parameters())
    assert not any(p.requires_grad for p in teacher.parameters()) and not teacher.training


def test_loss_is_chosen_by_its_config():
    loss = dict(type='repnext_mm.SymmetricDivergence', temperature=2.0)
    assert student(distill_loss=loss).distill_loss.temperature == 2.0
    assert type(student().distill_loss) is JensenShannonDivergence


def test_head_for_hard_labels_is_refused():
    with pytest.raises(ValueError, match='hard labels of DistilledClassifier'):
        student(dict(HEAD, distillation_weight=0.5))


def test_other_classes_than_the_teachers_are_an_error():
    model = student(dict(HEAD, num_classes=5)).train()
    with pytest.raises(ValueError, match='knows 5 classes, its teacher 3'):
        model.loss(torch.randn(2, 3, 64, 64))


def test_labels_are_dropped_in_training_and_kept_in_tests():
    augments = dict(augments=[dict(type='mmpretrain.Mixup', alpha=0.8)])
    prepare = LabelFreeDataPreprocessor(batch_augments=augments)
    with_label, without = samples([1])[0], samples([0])[0]
    del without.gt_label, without.gt_score
    images = torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8)
    data = dict(inputs=images, data_samples=[with_label, without] * 4)
    prepared = prepare(data, training=True)
    assert not any('gt_label' in sample for sample in prepared['data_samples'])
    assert not torch.equal(prepared['inputs'], images.float())  # mixed
    tested = prepare(dict(inputs=images[:1], data_samples=[with_label]))
    assert tested['data_samples'][0].gt_label.item() == 1


def write_images(folder: Path) -> Path:
    """Three images in a folder for each of three classes, and three more in none."""
    rng = np.random.default_rng(0)
    for name in ('labelled/a', 'labelled/b', 'labelled/c', 'more'):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            image = rng.integers(0, 255, (40, 40, 3), np.uint8)
            cv2.imwrite(str(folder / name / f'{number}.png'), image)
    return folder


def config_of(folder: Path, teacher: str) -> Config:
    def images(prefix: str, **options) -> dict:
        pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
        return dict(
            type='CustomDataset',
            data_root=str(folder),
            data_prefix=prefix,
            pipeline=pipeline,
            **options,
        )

    loader = dict(batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True))
    datasets = [images('labelled'), images('more', with_label=False)]
    model = dict(
        type='repnext_mm.SoftDistilledClassifier',
        backbone=dict(type='repnext_mm.RepNeXt', arch=slim('m0'), out_indices=-1),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(HEAD),
        teacher=dict(TEACHER, init_cfg=dict(type='Pretrained', checkpoint=teacher)),
        train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
    )
    return Config(
        dict(
            default_scope='mmpretrain',
            model=model,
            data_preprocessor=dict(num_classes=3),
            train_dataloader=dict(
                loader,
                dataset=dict(type='ConcatDataset', datasets=datasets, ignore_keys=['classes']),
            ),
            val_dataloader=dict(loader, dataset=images('labelled')),
            val_evaluator=dict(type='Accuracy'),
            train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=2),
            val_cfg=dict(),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            work_dir=str(folder / 'run'),
            log_level='WARNING',
        )
    )


def test_run_learns_from_images_without_labels_too(tmp_path):
    torch.manual_seed(0)
    teacher = randomize(MMPRETRAIN_MODELS.build(TEACHER))
    before = state_of(teacher)
    torch.save(dict(state_dict=before), tmp_path / 'teacher.pth')
    runner = Runner.from_cfg(config_of(write_images(tmp_path), str(tmp_path / 'teacher.pth')))
    start = state_of(runner.model)
    runner.train()
    assert runner.iter == 6  # 9 images with labels and 3 without
    assert_same_state(runner.model.teacher.model, before)
    content = CheckpointLoader.load_checkpoint(str(tmp_path / 'run' / 'epoch_2.pth'))
    assert list(content['state_dict']) == list(start)
    first = 'backbone.stem.stem.0.conv.weight'
    assert not torch.equal(content['state_dict'][first], start[first])
    assert 'val/accuracy/top1' in runner.message_hub.log_scalars
