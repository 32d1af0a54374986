"""Every row of the author's tables builds, trains a step and predicts.

The networks have the channels of the real ones, and fewer layers where their class allows that; of
full size they are built in tests/configs/test_rows.py, without values. Rows with a config of their
own, and no other backbone in it, do their step in tests/test_configs.py.
"""

from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
from commands import ROOT
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from small_configs import CONFIGS, as_list, narrow_detector, shrink
from steps import BATCHES, LOSSES, check_groups, train_one_step

from repnext_mm.checkpoints.loading import build_model
from repnext_mm.config_dicts import type_name
from repnext_mm.configs import with_backbone
from repnext_mm.experiments.specification import read_experiment
from repnext_mm.launch.device import adapt_to_device

CASCADES = 'coco_cascade'
EXPERIMENTS = ('imagenet', 'imagewoof', 'cifar100', 'coco_mask_rcnn', CASCADES, 'ade20k_upernet')
RATE = 'drop_path_rate'


class Row(NamedTuple):
    """A row that trains another backbone in a recipe."""

    experiment: str
    config: str
    backbone: str


def rows_of(experiment: str) -> list[Row]:
    table = read_experiment(ROOT / 'configs' / 'experiments' / f'{experiment}.py')
    return [Row(experiment, row.config, row.backbone) for row in table.rows if row.backbone]


ROWS = [row for experiment in EXPERIMENTS for row in rows_of(experiment)]
CASCADE_ROWS = [row for row in ROWS if row.experiment == CASCADES]
TRAINED_ROWS = [row for row in ROWS if row.experiment != CASCADES]


@cache
def recipe(path: str) -> Config:
    return Config.fromfile(path)


def config_of(row: Row) -> Config:
    cfg = deepcopy(recipe(row.config))
    cfg.merge_from_dict(with_backbone(cfg, row.backbone))
    return cfg


def small(cfg: Config) -> Config:
    """The same with few layers, narrow heads and few classes."""
    cfg = shrink(cfg)
    model = cfg.model
    if cfg.default_scope == 'mmdet':
        narrow_detector(model)
        for head in as_list(model.roi_head.bbox_head) + as_list(model.roi_head.mask_head):
            head.num_classes = 5
        model.test_cfg.rcnn.score_thr = 0.0  # so that random weights find something
    elif cfg.default_scope == 'mmseg':
        model.decode_head.channels = model.auxiliary_head.channels = 16
    cfg.launcher = 'none'
    adapt_to_device(cfg)
    return cfg


def check_prediction(result: Any, cfg: Config) -> None:
    """A prediction for an image of a batch is as its task demands."""
    if cfg.default_scope == 'mmdet':
        found = result.pred_instances
        limit = cfg.model.test_cfg.rcnn.max_per_img
        assert 0 < len(found) <= limit
        assert found.masks.shape == (len(found), 64, 64) and torch.isfinite(found.scores).all()
    elif cfg.default_scope == 'mmseg':
        assert result.pred_sem_seg.data.shape == (1, 32, 32)
        assert torch.isfinite(result.seg_logits.data).all()
    else:
        classes = cfg.model.get('num_classes') or cfg.model.head.num_classes
        assert result.pred_score.shape == (classes,)
        assert result.pred_score.sum().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize('row', TRAINED_ROWS, ids=lambda row: f'{row.experiment}-{row.backbone}')
def test_row_trains_a_step_and_predicts(row):
    torch.manual_seed(0)
    cfg = small(config_of(row))
    init_default_scope(cfg.default_scope)
    model = revert_sync_batchnorm(build_model(cfg))
    step = train_one_step(model, cfg)
    assert LOSSES[type_name(cfg.model)] <= set(step.losses) and step.moved
    if cfg.optim_wrapper.get('constructor', '').startswith('repnext_mm.'):
        check_groups(model, step.wrapper.optimizer)
    # DistributedDataParallel needs to know of parameters without gradient.
    assert bool(step.unused) == cfg.get('find_unused_parameters', False), step.unused
    model.eval()
    with torch.no_grad():
        results = model.test_step(BATCHES[cfg.default_scope]())
    assert len(results) == 2
    for result in results:
        check_prediction(result, cfg)


@pytest.mark.parametrize('row', CASCADE_ROWS, ids=lambda row: row.backbone)
def test_cascade_reads_its_backbone_as_mask_rcnn_does(row):
    """A step of Mask R-CNN with each backbone, and one of the cascade with one, tell of all."""
    (single,) = [
        other
        for other in TRAINED_ROWS
        if other.experiment == 'coco_mask_rcnn' and other.backbone == row.backbone
    ]
    ours, theirs = (config_of(one).model for one in (row, single))
    ours.backbone.pop(RATE), theirs.backbone.pop(RATE)
    assert ours.backbone == theirs.backbone and ours.neck == theirs.neck
    assert ours.roi_head.bbox_roi_extractor == theirs.roi_head.bbox_roi_extractor


def test_rows_without_another_backbone_are_leaf_configs():
    leaves = {path.resolve() for path in CONFIGS.glob('*.py')}
    for experiment in EXPERIMENTS:
        path = ROOT / 'configs' / 'experiments' / f'{experiment}.py'
        for row in read_experiment(path).rows:
            assert row.backbone or (ROOT / row.config).resolve() in leaves, row.name
