"""Best checkpoint, early end and trackers, from the options of a training to a run."""

import argparse
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from runners import build_runner

from repnext_mm.checks.metric_keys import check_metric_keys
from repnext_mm.compat import is_installed
from repnext_mm.launch.watching import TRACKERS, add_watching_options, use_watching_options

pytestmark = pytest.mark.distribution
CONFIGS = Path(__file__).parents[2] / 'configs' / 'small'
MAIN = {
    'mask_rcnn_repnext_slim_nuclei': 'coco/segm_mAP',
    'fpn_repnext_slim_camvid': 'mIoU',
    'repnext_slim_cifar10': 'accuracy/top1',
}


def applied(cfg: Config, *options: str) -> Config:
    parser = argparse.ArgumentParser()
    add_watching_options(parser)
    use_watching_options(cfg, parser.parse_args(options))
    return cfg


@pytest.mark.parametrize('name', MAIN)
def test_each_task_is_watched_by_its_main_metric(name):
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    applied(cfg, '--save-best', '--early-stop', '3')
    checkpoint, stop = cfg.default_hooks.checkpoint, cfg.custom_hooks[-1]
    assert checkpoint.save_best == stop['monitor'] == MAIN[name]
    assert checkpoint.rule == stop['rule'] == 'greater' and stop['patience'] == 3
    assert stop['min_delta'] == (0.001 if 'mAP' in MAIN[name] else 0.1)
    assert not list(check_metric_keys(cfg))
    untouched = Config.fromfile(CONFIGS / f'{name}.py')
    assert applied(untouched).to_dict() == Config.fromfile(CONFIGS / f'{name}.py').to_dict()


def test_a_named_metric_counts_for_both_and_errors_are_clear():
    cfg = applied(
        Config(dict(val_evaluator=dict(type='Mine'))),
        '--save-best',
        'my/error',
        '--early-stop',
        '2',
    )
    assert cfg.default_hooks.checkpoint.save_best == cfg.custom_hooks[0]['monitor'] == 'my/error'
    assert cfg.custom_hooks[0]['rule'] == cfg.default_hooks.checkpoint.rule == 'less'
    for evaluator, problem in (
        (None, 'need a validation'),
        (dict(type='Mine'), '--save-best METRIC'),
    ):
        with pytest.raises(ValueError, match=problem):
            applied(Config(dict(val_evaluator=evaluator)), '--early-stop', '2')
    with pytest.raises(ValueError, match='1 or more validations, got 0'):
        applied(Config(), '--early-stop', '0')


class Course(BaseMetric):
    """Gets better twice, and then no more."""

    default_prefix = 'accuracy'
    values = (10.0, 20.0, 20.05, 20.0, 19.0)

    def __init__(self):
        super().__init__()
        self.left = list(self.values)

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(top1=self.left.pop(0))


def test_a_training_ends_early_with_its_best_checkpoint(tmp_path):
    cfg = applied(
        Config(dict(val_evaluator=dict(type='Accuracy'))), '--save-best', '--early-stop', '2'
    )
    runner = build_runner(
        tmp_path,
        'early',
        cfg.custom_hooks,
        default_hooks=cfg.default_hooks.to_dict(),
        val_evaluator=[Course()],
        train_cfg=dict(by_epoch=True, max_epochs=5, val_interval=1),
    )
    runner.train()
    assert runner.epoch == 4  # 20.05 and 20 are no gain of 0.1
    assert [path.name for path in tmp_path.glob('best*')] == ['best_accuracy_top1_epoch_3.pth']


@pytest.mark.parametrize('name', TRACKERS)
def test_a_tracker_that_is_not_there_is_named_with_the_command(name):
    if is_installed(TRACKERS[name].package):
        pytest.skip('installed')
    with pytest.raises(ImportError, match=rf'--track {name} needs.*repnext-mm\[{name}\]'):
        applied(Config(dict(work_dir='run')), '--track', name)


def test_tensorboard_gets_an_event_file_beside_the_usual_one(tmp_path):
    pytest.importorskip('tensorboard')
    cfg = applied(Config(dict(work_dir=str(tmp_path))), '--track', 'tensorboard', 'tensorboard')
    assert len(cfg.visualizer.vis_backends) == 2
    visualizer = dict(cfg.visualizer.to_dict(), name='tracked')
    logs = dict(logger=dict(type='LoggerHook', interval=1))
    runner = build_runner(tmp_path, 'tracked', visualizer=visualizer, default_hooks=logs)
    runner.train()
    assert next(tmp_path.glob('*/vis_data/events.out.tfevents*')).stat().st_size > 500
    assert next(tmp_path.glob('*/vis_data/scalars.json')).is_file()
