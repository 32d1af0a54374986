"""Run by torch.distributed.run in test_distributed.py: trains, tests, saves what it saw."""

import itertools
import sys

import torch
from helpers import slim, state_of
from mmengine.model import MMDistributedDataParallel
from runners import Logits, build_runner

from repnext_mm.hooks import ReparameterizeHook
from repnext_mm.launch.device import leave_process_group
from repnext_mm.models import RepNeXt


def train_every_subset_of_outputs() -> int:
    """DDP raises in the second iteration if a parameter got no gradient in the first."""
    subsets = [s for n in range(1, 5) for s in itertools.combinations(range(4), n)]
    for indices in subsets:
        model = MMDistributedDataParallel(RepNeXt(slim(), out_indices=indices), device_ids=None)
        for _ in range(2):
            sum(output.sum() for output in model(torch.randn(2, 3, 64, 64))).backward()
    return len(subsets)


def main(folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo')
    subsets = train_every_subset_of_outputs()
    metric = Logits()
    runner = build_runner(
        folder,
        'distributed',
        [ReparameterizeHook('plain', val=True)],
        metric=metric,
        launcher='pytorch',
        cfg=dict(model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None)),
    )
    runner.train()
    trained = state_of(runner.model.module)
    runner.test()
    content = dict(trained=trained, after=state_of(runner.model.module), subsets=subsets)
    if runner.rank == 0:
        content['logits'] = metric.logits
    torch.save(content, f'{folder}/rank{runner.rank}.pt')


if __name__ == '__main__':
    main(sys.argv[1])
    leave_process_group()
