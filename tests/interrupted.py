"""Training that draws random numbers wherever it can, interrupted and resumed."""

import itertools
import random
from pathlib import Path

import numpy as np
import torch
from helpers import randomize, slim
from mmengine.runner import Runner
from mmengine.runner.checkpoint import _load_checkpoint
from runners import Classifier, RandomImages, build_runner, loader

from repnext_mm.models import RepNeXt

NAMES = (f'interrupted{number}' for number in itertools.count())


class RandomlyAugmented(RandomImages):
    """Draws from each of the three generators that augmentations use."""

    def __getitem__(self, index: int) -> dict:
        item = super().__getitem__(index)
        image = item['inputs'] * random.uniform(0.5, 1.5) + float(np.random.randn())
        return item | dict(inputs=image + torch.rand(1))


def model() -> Classifier:
    """Draws in training, too: one block of a row is skipped with a probability of 1/2."""
    classifier = Classifier()
    classifier.backbone = RepNeXt(slim(), out_indices=(3,), drop_path_rate=0.5)
    return randomize(classifier)


def runner(work_dir: Path, hooks=(), workers: int = 0, checkpoint=(), data=(), **options) -> Runner:
    """A runner with our checkpoints; ``checkpoint`` and ``data`` are further options of these."""
    # As a new process, which knows nothing of the random numbers drawn so far.
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(random.SystemRandom().getrandbits(31))
    hook = dict(type='repnext_mm.SafeCheckpointHook', interval=1) | dict(checkpoint)
    batches = loader(RandomlyAugmented(), shuffle=True) | dict(num_workers=workers) | dict(data)
    arguments = dict(
        model=model(),
        train_dataloader=batches,
        train_cfg=dict(by_epoch=True, max_epochs=3),
        param_scheduler=dict(type='ExponentialLR', gamma=0.9),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=100), checkpoint=hook),
    )
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        arguments[key] = None
    return build_runner(work_dir, next(NAMES), hooks, **(arguments | options))


def read(path: Path) -> dict:
    """A checkpoint, with the parts that a test compares."""
    return _load_checkpoint(str(path), 'cpu')


def differences(first: dict, second: dict) -> list[str]:
    """The weights and momenta that are not the same bit by bit in two checkpoints."""
    assert first['state_dict'].keys() == second['state_dict'].keys()
    pairs = {
        name: (first['state_dict'][name], second['state_dict'][name])
        for name in first['state_dict']
    }
    states = [checkpoint['optimizer']['state'] for checkpoint in (first, second)]
    assert states[0].keys() == states[1].keys() and len(states[0]) > 0
    for number, state in states[0].items():
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                pairs[f'{number}.{key}'] = (value, states[1][number][key])
    return [name for name, pair in pairs.items() if not torch.equal(*pair)]
