"""Measures a training step of a backbone with fixed batch norms, and what autograd keeps for it.

``python docs/training_step.py m3 --shape 4 3 224 224`` compares the branches, the option
``merge_frozen_norms`` and the merged network in training; with ``--convnext`` it compares RepNeXt
with ConvNeXt-T instead, batch norms in training mode. A step is forward, backward and AdamW. The
time is that of the processor, of all threads together: beside other jobs it says more than the
clock does, but idle threads must sleep instead of spinning: set OMP_WAIT_POLICY=passive. With one
thread, torch computes 1x1 convolutions of small batches in another way than with more.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from repnext_mm.networks import RepNeXt
from repnext_mm.timing import format_table

LAYOUTS = {'NCHW': torch.contiguous_format, 'channels-last': torch.channels_last}


def frozen(arch: str, **options: bool) -> nn.Module:
    """A backbone whose batch norms are in evaluation mode while the rest trains."""
    backbone = RepNeXt(arch, **options).train()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return backbone


def convnext() -> nn.Module:
    """mmpretrain's ConvNeXt-T with the four outputs that detectors take."""
    from mmpretrain.models import ConvNeXt

    return ConvNeXt('tiny', out_indices=(0, 1, 2, 3), gap_before_final_norm=False)


def networks(arch: str, with_convnext: bool) -> dict[str, nn.Module]:
    """The networks to compare, by name; ratios refer to the first."""
    if with_convnext:
        return {'ConvNeXt-T': convnext(), arch: RepNeXt(arch).train()}
    return {
        'branches': frozen(arch),
        'merge_frozen_norms': frozen(arch, merge_frozen_norms=True),
        'merged network': frozen(arch, form='fused', finetune_deployed=True),
    }


def training_step(network: nn.Module, x: Tensor) -> Callable[[], None]:
    """A function that takes one step."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6)

    def step() -> None:
        sum(output.mean() for output in network(x)).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def kept_mebibytes(network: nn.Module, x: Tensor) -> float:
    """What autograd keeps between forward and backward, parameters left out."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network(x)
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    del outputs
    return sum(size for memory, size in storages.items() if memory not in own) / 2**20


def processor_seconds(step: Callable[[], None]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('arch')
    parser.add_argument('--shape', type=int, nargs=4, default=(4, 3, 224, 224))
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--layout', choices=LAYOUTS, default='NCHW')
    parser.add_argument('--convnext', action='store_true')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    layout = LAYOUTS[args.layout]
    x = torch.randn(*args.shape).to(memory_format=layout)
    models = {
        name: network.to(memory_format=layout)
        for name, network in networks(args.arch, args.convnext).items()
    }
    kept = {name: kept_mebibytes(network, x) for name, network in models.items()}
    steps = {name: training_step(network, x) for name, network in models.items()}
    rounds = [
        {name: processor_seconds(step) for name, step in steps.items()}
        for _ in range(args.rounds + 1)
    ][1:]
    medians = {name: statistics.median(r[name] for r in rounds) for name in steps}
    first = next(iter(medians.values()))
    rows = [
        {
            'network': name,
            'x speed': first / medians[name],
            'lowest, highest of a round': '{:.2f}, {:.2f}'.format(
                *sorted(next(iter(r.values())) / r[name] for r in rounds)[:: args.rounds - 1]
            ),
            'kept, MiB': f'{kept[name]:.0f}',
        }
        for name in steps
    ]
    print(
        f'{args.arch}, {"x".join(map(str, args.shape))}, {args.layout}, torch {torch.__version__}'
    )
    print(format_table(rows))


if __name__ == '__main__':
    main()
