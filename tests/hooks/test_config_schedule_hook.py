"""A resumed training has the learning rates of one that had the config's schedule all along."""

from pathlib import Path

import pytest
from interrupted import runner
from mmengine.hooks import Hook

pytestmark = pytest.mark.distribution
HOOK = dict(type='repnext_mm.ConfigScheduleHook')


class Rates(Hook):
    """Notes the learning rate of each step."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.rates.append(runner.optim_wrapper.get_lr()['lr'][0])


def rates(folder: Path, length: int, schedules, by_epoch: bool, hooks=(), **options) -> list[float]:
    noted = Rates()
    unit = 'max_epochs' if by_epoch else 'max_iters'
    train_cfg = {'by_epoch': by_epoch, unit: length}
    checkpoint = dict(by_epoch=by_epoch, interval=2)
    built = runner(
        folder,
        [noted, *hooks],
        train_cfg=train_cfg,
        param_scheduler=schedules,
        checkpoint=checkpoint,
        **options,
    )
    built.train()
    return noted.rates


def schedules(length: int, by_epoch: bool) -> list[dict]:
    warm_up = dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=3)
    return [warm_up, dict(type='PolyLR', begin=1, end=length, by_epoch=by_epoch)]


@pytest.mark.parametrize('by_epoch', [False, True])
def test_rates_are_those_of_an_uninterrupted_training(by_epoch, tmp_path):
    expected = rates(tmp_path / 'whole', 6, schedules(6, by_epoch), by_epoch)
    first = rates(tmp_path / 'run', 2, schedules(2, by_epoch), by_epoch)
    name = 'epoch_2.pth' if by_epoch else 'iter_2.pth'
    options = dict(load_from=str(tmp_path / 'run' / name), resume=True)
    old = rates(tmp_path / 'old', 6, schedules(6, by_epoch), by_epoch, **options)
    new = rates(tmp_path / 'new', 6, schedules(6, by_epoch), by_epoch, [HOOK], **options)
    assert new == pytest.approx(expected[len(first) :]) and len(new) == len(old) > 3
    assert old != pytest.approx(new)


def test_the_rate_of_the_config_counts_and_new_trainings_are_left_alone(tmp_path):
    options = dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.5, momentum=0.9)))
    plain = rates(tmp_path / 'a', 2, schedules(9, False), False)
    assert rates(tmp_path / 'b', 2, schedules(9, False), False, [HOOK]) == plain
    path = str(tmp_path / 'b' / 'iter_2.pth')
    new = rates(tmp_path / 'c', 3, None, False, [HOOK], load_from=path, resume=True, **options)
    assert new == [0.5]
