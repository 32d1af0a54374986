"""Trainings whose learning rate is 0 before they end are told of."""

from pathlib import Path

import pytest
import torch
from interrupted import runner
from mmengine.config import Config

from repnext_mm.checks.schedule import check_schedule
from repnext_mm.launch.replaced_weights import drop_replaced_weights


def poly(end: int, **options) -> dict:
    return dict(type='PolyLR', begin=0, end=end, by_epoch=False) | options


def find(schedules, limit: int = 12, **options) -> list:
    train_cfg = dict(max_iters=limit)
    return list(
        check_schedule(Config(dict(train_cfg=train_cfg, param_scheduler=schedules, **options)))
    )


@pytest.mark.parametrize(
    'schedules',
    [
        poly(4),
        [dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=2), poly(6, begin=2)],
        [dict(type='mmengine.CosineAnnealingLR', T_max=6, end=6, by_epoch=False)],
        [dict(type='LinearLR', end_factor=0.0, end=6, by_epoch=False)],
    ],
)
def test_a_schedule_that_ends_at_nothing_too_early_is_told(schedules):
    (finding,) = find(schedules)
    assert finding.level == 'warning' and 'to iteration 12' in finding.message
    assert find(schedules, limit=4 if not isinstance(schedules, list) else 6) == []


@pytest.mark.parametrize(
    'schedules',
    [
        None,
        poly(12),
        poly(4, eta_min=1e-6),
        dict(type='CosineAnnealingLR', eta_min_ratio=0.01, end=4, by_epoch=False),
        dict(type='LinearLR', start_factor=0.1, end=4, by_epoch=False),
        [poly(4), dict(type='ConstantLR', factor=0.5, by_epoch=False)],
        dict(type='PolyLR', end=4),  # by epoch
        dict(generator=[poly(4)], discriminator=[poly(4)]),
    ],
)
def test_other_schedules_are_left_alone(schedules):
    assert find(schedules) == []


@pytest.fixture(scope='module')
def resumed(tmp_path_factory) -> Path:
    """A checkpoint at the end of its schedule, as mmengine writes it."""
    folder = tmp_path_factory.mktemp('run')
    train_cfg = dict(by_epoch=False, max_iters=4)
    hook = dict(by_epoch=False, interval=2)
    runner(folder, train_cfg=train_cfg, param_scheduler=poly(4), checkpoint=hook).train()
    return folder


@pytest.mark.distribution
def test_a_resumed_schedule_that_has_ended_is_told(resumed):
    path = str(resumed / 'iter_4.pth')
    for schedule in (poly(4, eta_min=0.0), poly(12)):
        findings = find(schedule, resume=True, load_from=path)
        (finding,) = [finding for finding in findings if finding.place == path]
        assert 'learning rate is 0 from iteration 5 to 12' in finding.message
        assert f'load_from={path!r}' in finding.remedy and '--new-schedule' in finding.remedy
    assert find(poly(4), limit=4, resume=True, load_from=path) == []
    assert find(poly(12), load_from=path) == []
    hooks = [dict(type='repnext_mm.ConfigScheduleHook')]
    assert find(poly(12), resume=True, load_from=path, custom_hooks=hooks) == []


@pytest.mark.distribution
def test_another_schedule_than_the_checkpoints_is_told(resumed):
    path = str(resumed / 'iter_2.pth')
    (finding,) = find(poly(12), resume=True, load_from=path)
    assert 'param_scheduler[0].end is 4 in the checkpoint, 12 in the config' in finding.message
    (finding,) = find([poly(4), poly(12)], resume=True, load_from=path)
    assert '1 schedules, not 2' in finding.message
    assert find(poly(4), limit=4, resume=True, load_from=path) == []


@pytest.mark.parametrize(
    ('load_from', 'resume', 'kept'),
    [
        (None, False, ['backbone', 'neck']),
        ('whole.pth', True, []),
        ('backbone.pth', False, ['neck']),
        ('head.pth', False, ['backbone', 'neck']),
    ],
)
def test_weights_that_a_checkpoint_replaces_are_not_asked_for(load_from, resume, kept, tmp_path):
    weight = torch.zeros(1)
    torch.save(dict(state_dict={'backbone.stem.weight': weight}), tmp_path / 'backbone.pth')
    torch.save(dict(state_dict={'head.fc.weight': weight}), tmp_path / 'head.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'missing.pth'))
    there = dict(type='Pretrained', checkpoint=str(tmp_path / 'head.pth'))
    model = dict(
        backbone=dict(init_cfg=init), neck=dict(init_cfg=init), teacher=dict(init_cfg=init)
    )
    cfg = Config(
        dict(model=model, load_from=load_from and str(tmp_path / load_from), resume=resume)
    )
    drop_replaced_weights(cfg)
    assert [name for name in ('backbone', 'neck') if cfg.model[name].init_cfg] == kept
    assert cfg.model.teacher.init_cfg
    cfg.model.backbone.init_cfg = there
    cfg.resume = False
    drop_replaced_weights(cfg)
    assert cfg.model.backbone.init_cfg  # it is there, and does no harm
