"""A run that was interrupted and resumed ends with the weights of one that was not."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from interrupted import RandomlyAugmented, differences, read, runner
from runners import Logits, loader

from repnext_mm.hooks import ReseedHook
from repnext_mm.hooks.reseed_hook import seed_at

pytestmark = pytest.mark.distribution

EPOCHS = dict(checkpoint=dict(by_epoch=True))
ITERATIONS = dict(
    train_cfg=dict(by_epoch=False, max_iters=5),
    checkpoint=dict(by_epoch=False),
    data=dict(sampler=dict(type='InfiniteSampler', shuffle=True)),
)
RESTARTED = ITERATIONS | dict(data=dict(sampler=dict(type='DefaultSampler', shuffle=True)))
KINDS = {
    'epochs': (EPOCHS, 'epoch_{}.pth', 3),
    'iterations': (ITERATIONS, 'iter_{}.pth', 5),
    # The sampler ends after three batches, and mmengine starts it again.
    'restarted': (RESTARTED, 'iter_{}.pth', 5),
}


def resumed(folder: Path, kind: str, workers: int, step: int, hooks: list) -> list[str]:
    """What differs at the end between the whole run and one resumed from a step of it."""
    options, name, last = KINDS[kind]
    source = folder / 'whole' / name.format(step)
    work_dir = folder / f'from_{step}'
    runner(work_dir, hooks, workers, **options, resume=True, load_from=str(source)).train()
    ends = [read(place / name.format(last)) for place in (work_dir, folder / 'whole')]
    return differences(*ends)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """torch waits so long for each worker that has batches left when its loader ends."""
    monkeypatch.setattr('torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL', 0.2)


@pytest.mark.parametrize(
    ('kind', 'workers', 'steps'),
    [
        ('epochs', 0, [1, 2]),
        ('epochs', 2, [1, 2]),
        ('iterations', 0, [1, 4]),
        ('iterations', 2, [3]),
        ('restarted', 0, [2, 3, 4]),  # before the restart, at it and after it
        ('restarted', 2, [4]),
    ],
)
def test_resuming_from_any_checkpoint_gives_the_same_weights(
    kind, workers, steps, tmp_path, monkeypatch
):
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda seconds: None)
    options, name, last = KINDS[kind]
    runner(tmp_path / 'whole', [ReseedHook()], workers, **options).train()
    states = [read(tmp_path / 'whole' / name.format(step)) for step in range(1, last + 1)]
    assert all(differences(*pair) for pair in pairwise(states))
    for step in steps:
        assert resumed(tmp_path, kind, workers, step, [ReseedHook()]) == [], f'from {step}'
    # So the comparison does see random numbers: those of workers or of this process.
    assert resumed(tmp_path, kind, workers, steps[0], []) != []


def test_validation_may_draw_random_numbers(tmp_path):
    """It is not repeated after resuming, so what it draws must not matter."""
    validation = dict(
        val_dataloader=loader(RandomlyAugmented()), val_cfg=dict(), val_evaluator=[Logits()]
    )
    for name, checks in (('validated', validation), ('plain', {})):
        cfg = dict(by_epoch=False, max_iters=5, val_interval=1)
        options = ITERATIONS | dict(train_cfg=cfg) | checks
        runner(tmp_path / name, [ReseedHook()], **options).train()
    ends = [read(tmp_path / name / 'iter_5.pth') for name in ('validated', 'plain')]
    assert differences(*ends) == []


class Recorder(RandomlyAugmented):
    """Gives, instead of labels, what the augmentation drew."""

    def __getitem__(self, index: int) -> dict:
        image = torch.zeros(3, 40, 36)
        return dict(inputs=image, labels=torch.tensor(0), drawn=torch.rand(1).item())


def test_new_workers_do_not_repeat_what_those_of_the_epoch_before_drew(tmp_path):
    drawn = {}

    class Listener(ReseedHook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            drawn.setdefault(runner.epoch, []).extend(data_batch.pop('drawn'))

    runner(tmp_path, [Listener()], 2, data=dict(dataset=Recorder())).train()
    assert [len(set(numbers)) for numbers in drawn.values()] == [12, 12, 12]
    assert len(set().union(*drawn.values())) == 36


def test_workers_that_outlive_their_epoch_are_refused(tmp_path):
    run = runner(tmp_path, [ReseedHook()], 2, data=dict(persistent_workers=True))
    with pytest.raises(ValueError, match='persistent_workers=False'):
        run.train()


def test_resuming_within_an_epoch_is_reported(tmp_path):
    runner(tmp_path, [ReseedHook()], checkpoint=dict(by_epoch=False)).train()
    for step, words in ((3, []), (4, ['at iteration 4', 'weights will differ'])):
        source = str(tmp_path / f'iter_{step}.pth')
        run = runner(tmp_path / f'from_{step}', [ReseedHook()], resume=True, load_from=source)
        warnings = []
        run.logger.warning = warnings.append
        run.train()
        assert all(word in ' '.join(warnings) for word in words)
        assert any('within an epoch' in text for text in warnings) == bool(words)


def test_seeds_differ_and_leave_room_for_ranks_and_workers():
    seeds = {seed_at(seed, progress) for seed in range(30) for progress in range(30)}
    assert len(seeds) == 900 and max(seeds) < 2**31
    assert seed_at(2**32 - 1, 10**9) < 2**31
