"""Run by test_distributed.py: two processes train, test, and save what they saw."""

import itertools
import os
import sys
from pathlib import Path

import torch
from helpers import backbone, slim, state_of
from mmengine.model import MMDistributedDataParallel
from runners import Logits, build_runner
from students import STAGES, save_teacher, tiny_student
from torch.multiprocessing import start_processes

from repnext_mm.hooks import ReparameterizeHook
from repnext_mm.launch.device import leave_process_group
from repnext_mm.models import RepNeXt

PROCESSES = 2


def train_every_subset_of_outputs() -> int:
    """DDP raises in the second iteration if a parameter got no gradient in the first."""
    subsets = [s for n in range(1, 5) for s in itertools.combinations(range(4), n)]
    for indices in subsets:
        model = MMDistributedDataParallel(RepNeXt(slim(), out_indices=indices), device_ids=None)
        for _ in range(2):
            sum(output.sum() for output in model(torch.randn(2, 3, 64, 64))).backward()
    return len(subsets)


def gradients_with_fixed_norms(variant: str, merge: bool) -> list[torch.Tensor]:
    """Gradients of the second iteration, averaged over the processes, which see other images."""
    model = backbone(slim(variant), norm_eval=True, merge_frozen_norms=merge).double().train()
    parallel = MMDistributedDataParallel(model, device_ids=None)
    generator = torch.Generator().manual_seed(torch.distributed.get_rank())
    for _ in range(2):
        model.zero_grad()
        x = torch.randn(2, 3, 64, 64, generator=generator, dtype=torch.float64)
        sum((output**2).mean() for output in parallel(x)).backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


def train_a_student(folder: Path) -> dict[str, torch.Tensor]:
    """Two steps with a teacher, whose connectors begin differently in each process."""
    rank = torch.distributed.get_rank()
    teacher = save_teacher(folder / f'teacher{rank}')
    student = tiny_student(teacher, [dict(module='backbone', channels=STAGES)], seed=rank)
    parallel = MMDistributedDataParallel(student.train(), device_ids=None)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    for _ in range(2):
        losses = parallel(torch.randn(2, 3, 64, 64), [rank, 2], mode='loss')
        optimizer.zero_grad()
        student.parse_losses(losses)[0].backward()
        optimizer.step()
    return student.connector_state()


def run_rank(rank: int, folder: str) -> None:
    os.environ['LOCAL_RANK'] = str(rank)  # mmengine asks for it
    torch.set_num_threads(1)
    store = f'file://{folder}/store'
    torch.distributed.init_process_group('gloo', store, rank=rank, world_size=PROCESSES)
    train_and_test(folder)
    leave_process_group()


def train_and_test(folder: str) -> None:
    subsets = train_every_subset_of_outputs()
    gradients = {
        variant: [gradients_with_fixed_norms(variant, merge) for merge in (False, True)]
        for variant in ('tiny_v3', 'm1')
    }
    connectors = train_a_student(Path(folder))
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
    content |= dict(gradients=gradients, connectors=connectors)
    if runner.rank == 0:
        content['logits'] = metric.logits
    torch.save(content, f'{folder}/rank{runner.rank}.pt')


if __name__ == '__main__':
    # Forked, so that the imports are done once; nothing has been computed before.
    start_processes(run_rank, (sys.argv[1],), nprocs=PROCESSES, start_method='fork')
