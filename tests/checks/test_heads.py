"""Numbers of classes in heads, preprocessor, losses and metrics."""

import pytest
from mmengine.config import Config
from own_data import NAMES

from repnext_mm.checks.heads import check_heads_of, check_topk


def kinds(model: dict, **parts) -> list[tuple[str, str, str]]:
    findings = check_heads_of(Config(dict(model=model, **parts)), NAMES, 'train.json')
    return [(finding.level, finding.kind, finding.place) for finding in findings]


@pytest.mark.parametrize(
    ('model', 'places'),
    [
        (
            dict(
                rpn_head=dict(num_classes=1),
                roi_head=dict(
                    bbox_head=[dict(num_classes=n) for n in (3, 80, 80)],
                    mask_head=dict(num_classes=3),
                ),
            ),
            ['roi_head.bbox_head[1]', 'roi_head.bbox_head[2]'],
        ),
        (
            dict(decode_head=dict(num_classes=19), auxiliary_head=[dict(num_classes=4)]),
            ['decode_head', 'auxiliary_head[0]'],
        ),
        (dict(head=dict(num_classes=1000), teacher=dict(head=dict(num_classes=9))), ['head']),
        (dict(num_classes=5, backbone=dict(num_classes=7)), ['']),
        (dict(bbox_head=dict(num_classes=3)), []),
    ],
)
def test_every_head_has_the_classes_of_the_data(model, places):
    wanted = [f'model.{place}.num_classes'.replace('..', '.') for place in places]
    assert kinds(model) == [('error', 'num-classes', place) for place in wanted]


@pytest.mark.parametrize(
    ('train_cfg', 'level'), [(dict(augments=dict(type='Mixup')), 'error'), ({}, 'warning')]
)
def test_the_preprocessor_mixes_as_many_classes(train_cfg, level):
    found = kinds(dict(train_cfg=train_cfg), data_preprocessor=dict(num_classes=1000))
    assert found == [(level, 'num-classes', 'data_preprocessor.num_classes')]


def test_losses_weigh_as_many_classes():
    loss = dict(class_weight=[1.0, 2.0])
    model = dict(decode_head=dict(num_classes=3, loss_decode=[loss, dict(class_weight=[1] * 3)]))
    assert kinds(model) == [('error', 'class-weight', 'model.decode_head.loss_decode.class_weight')]


@pytest.mark.parametrize(
    ('topk', 'cal_acc', 'places'),
    [
        ((1, 5), True, ['val_evaluator.topk', 'model.head.topk']),
        (5, False, ['val_evaluator.topk']),
        ((1, 3), True, []),
    ],
)
def test_accuracies_ask_for_no_more_classes_than_there_are(topk, cal_acc, places):
    head = dict(topk=topk, cal_acc=cal_acc)
    cfg = Config(dict(model=dict(head=head), val_evaluator=dict(type='Accuracy', topk=topk)))
    found = list(check_topk(cfg, ('val',), 3, 'train'))
    assert sorted(finding.place for finding in found) == sorted(places)
    assert all(finding.kind == 'topk' for finding in found)


def test_accuracies_ask_for_no_more_classes_than_the_head_has():
    metric = dict(type='Accuracy', topk=(1, 5))
    for count, kinds_found in ((10, []), (4, ['topk'])):
        cfg = Config(dict(model=dict(head=dict(num_classes=count)), val_evaluator=metric))
        found = [finding.kind for finding in check_topk(cfg, ('val',), 3, 'train')]
        assert found == kinds_found
