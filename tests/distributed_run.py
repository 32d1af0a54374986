"""Run by torch.distributed.run in test_distributed.py: trains, tests, saves what it saw."""

import sys

import torch
from helpers import state_of
from runners import Logits, build_runner

from repnext_mm.hooks import ReparameterizeHook


def main(folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo')
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
    content = dict(trained=trained, after=state_of(runner.model.module))
    if runner.rank == 0:
        content['logits'] = metric.logits
    torch.save(content, f'{folder}/rank{runner.rank}.pt')


if __name__ == '__main__':
    main(sys.argv[1])
