"""Keys that hooks wait for are those that the evaluator gives."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from repnext_mm.checks.metric_keys import check_metric_keys, expected_keys

COCO = dict(type='mmdet.CocoMetric', metric=['bbox', 'segm'])


def find(key, evaluator, **hooks) -> list:
    default = dict(checkpoint=dict(type='CheckpointHook', save_best=key))
    return list(
        check_metric_keys(Config(dict(val_evaluator=evaluator, default_hooks=default, **hooks)))
    )


@pytest.mark.parametrize(
    ('key', 'evaluator', 'remedy'),
    [
        ('bbox_mAP', COCO, 'coco/bbox_mAP'),
        ('coco/segm_map', COCO, 'coco/segm_mAP'),
        ('coco/bbox_mAP', dict(COCO, prefix='parts'), 'parts/bbox_mAP'),
        ('mioU', dict(type='IoUMetric', iou_metrics=['mIoU']), 'mIoU'),
        ('accuracy/top1', dict(type='Accuracy', topk=(5,)), 'accuracy/top5'),
        (['coco/bbox_mAP', 'top1'], [COCO, dict(type='Accuracy')], 'accuracy/top1'),
        (
            'coco/bbox_mAP',
            dict(
                type='MultiDatasetsEvaluator',
                metrics=[COCO, COCO],
                dataset_prefixes=['val', 'other'],
            ),
            'val/coco/bbox_mAP',
        ),
    ],
)
def test_a_key_that_will_not_come_is_an_error_with_the_nearest(key, evaluator, remedy):
    (finding,) = find(key, evaluator)
    assert finding.level == 'error' and finding.place == 'default_hooks.checkpoint.save_best'
    assert f'Set {remedy!r}' in finding.remedy and repr(remedy) in finding.message


@pytest.mark.parametrize(
    ('key', 'evaluator'),
    [
        ('auto', COCO),
        (None, COCO),
        ('coco/segm_mAP_50', COCO),
        ('coco/bolt_precision', dict(COCO, classwise=True)),
        ('mIoU', dict(type='mmseg.IoUMetric')),
        ('accuracy/top1', dict(type='Accuracy')),
        ('anything', [COCO, dict(type='MyMetric')]),
        ('anything', dict(type='MyEvaluator', metrics=[COCO])),
    ],
)
def test_other_keys_and_unknown_metrics_are_left_alone(key, evaluator):
    assert find(key, evaluator) == []


def test_a_key_that_is_like_none_is_told_all_of_them():
    (finding,) = find('mIoU', dict(type='IoUMetric', iou_metrics=['mDice']))
    assert "'aAcc', 'mDice', 'mAcc'" in finding.message and 'one of these' in finding.remedy


def test_early_stopping_and_missing_validation_are_looked_at():
    hook = dict(type='EarlyStoppingHook', monitor='mIoU')
    (finding,) = find(None, COCO, custom_hooks=[hook])
    assert finding.place == 'custom_hooks[0].monitor'
    (finding,) = find('mIoU', None)
    assert finding.level == 'warning' and 'no validation' in finding.message


@pytest.mark.distribution
@pytest.mark.parametrize('metric', [['mIoU'], ['mIoU', 'mDice'], ['mFscore']])
def test_keys_of_iou_are_those_that_mmseg_gives(metric):
    from mmseg.evaluation import IoUMetric

    built = IoUMetric(iou_metrics=metric)
    built.dataset_meta = dict(classes=('a', 'b'))
    areas = tuple(torch.tensor([2.0, 3.0]) for _ in range(4))
    config = dict(type='IoUMetric', iou_metrics=metric)
    assert set(built.compute_metrics([areas])) == set(expected_keys(config))


@pytest.mark.distribution
@pytest.mark.parametrize('options', [{}, dict(topk=(1, 2)), dict(thrs=(0.0, 0.5, None))])
def test_keys_of_accuracy_are_those_that_mmpretrain_gives(options):
    from mmpretrain.evaluation import Accuracy

    built = Accuracy(**options)
    results = [dict(gt_label=torch.tensor([1]), pred_score=torch.tensor([0.1, 0.8, 0.1]))]
    given = [f'{built.prefix}/{name}' for name in built.compute_metrics(results)]
    assert given == expected_keys(dict(type='Accuracy', **options))


@pytest.mark.distribution
@pytest.mark.parametrize(
    'options',
    [
        dict(metric=['bbox', 'segm']),
        dict(metric='proposal'),
        dict(metric='bbox', metric_items=['mAP_50', 'AR@100']),
        dict(metric='proposal_fast', proposal_nums=(10, 100)),
    ],
)
def test_keys_of_coco_are_those_that_mmdet_gives(options):
    from mmdet.evaluation import CocoMetric
    from pycocotools import mask as coco_mask

    init_default_scope('mmdet')
    built = CocoMetric(**options)
    built.dataset_meta = dict(classes=('a',))
    area = coco_mask.encode(np.asfortranarray(np.ones((8, 8), np.uint8)))
    instances = dict(
        bboxes=torch.tensor([[0.0, 0.0, 8.0, 8.0]]),
        scores=torch.tensor([0.9]),
        labels=torch.tensor([0]),
        masks=torch.ones(1, 8, 8, dtype=torch.bool),
    )
    truth = dict(bbox_label=0, bbox=[0.0, 0.0, 8.0, 8.0], mask=area, ignore_flag=0)
    sample = dict(
        img_id=1, ori_shape=(8, 8), pred_instances=instances, gt_instances={}, instances=[truth]
    )
    built.process({}, [sample])
    if options['metric'] == 'proposal_fast':
        built.fast_eval_recall = lambda *args, **more: [0.0, 0.0]
    given = [f'{built.prefix}/{name}' for name in built.compute_metrics(built.results)]
    assert given == expected_keys(dict(type='CocoMetric', **options))
