"""A training and a test end with a table of metrics and the places of files."""

from unittest.mock import patch

import numpy as np
import pytest
from mmengine.logging import MMLogger
from runners import build_runner

from repnext_mm.launch.summary import SummaryHook, metric_table

pytestmark = pytest.mark.distribution


def test_training_and_test_end_with_a_summary(tmp_path):
    hooks = dict(
        logger=dict(type='LoggerHook', interval=1),
        checkpoint=dict(
            type='repnext_mm.SafeCheckpointHook', interval=1, save_best='test/mean', rule='greater'
        ),
    )
    runner = build_runner(tmp_path, 'summary', [SummaryHook()], default_hooks=hooks)
    with patch.object(MMLogger, 'info') as info:
        runner.train()
        training = str(info.call_args.args[0]).splitlines()
        runner.test()
    test = next(
        str(call.args[0]) for call in reversed(info.call_args_list) if 'Tested' in str(call)
    )
    assert training[0] == 'Training ended after 6 iterations'
    assert 'last (iteration 6)' in training[1] and 'best (iteration' in training[1]
    assert training[2].startswith('test/mean')
    places = dict(line.rsplit('  ', 1) for line in training[3:])
    assert [name.strip() for name in places] == ['best checkpoint', 'last checkpoint', 'log']
    assert (tmp_path / 'epoch_2.pth').samefile(list(places.values())[1])
    assert test.startswith('Tested on 12 images\ntest/mean')


def test_a_table_begins_with_the_main_metrics_and_ends_in_time():
    metrics = {'coco/bbox_mAP_l': -1.0, 'coco/bbox_mAP': 0.12341, 'names': ['a'], 'good': True}
    table = metric_table(dict(best=metrics, last={'coco/bbox_mAP': float('nan')}))
    assert [line.split() for line in table] == [
        ['metric', 'best', 'last'],
        ['coco/bbox_mAP', '0.1234', '-'],
        ['coco/bbox_mAP_l', '-', '-'],
    ]
    many = metric_table({'': {f'{number}_precision': 1.0 for number in range(30)}})
    assert len(many) == 21 and '10 more' in many[-1]
    assert metric_table({'': dict(mIoU=np.float32(27.06))})[0].split() == ['mIoU', '27.06']
    assert metric_table({}) == [] == metric_table({'': {}})
