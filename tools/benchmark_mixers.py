"""Compares ways to compute the merged token mixer of RepNeXt-M, all of them equal.

Prints the median time of the backbone for each, relative to the naive way: one
convolution for each of S, M and L, and a concatenation with the identity.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repnext_mm import reparameterize_model
from repnext_mm.models import RepNeXt
from repnext_mm.networks.repnext_m import Block
from repnext_mm.networks.token_mixers import MergedChunkConv
from repnext_mm.reparam import layers
from repnext_mm.reparam.difference import relative_difference


class Naive(nn.Module):
    """S, M and L one by one."""

    def __init__(self, mixer: MergedChunkConv):
        super().__init__()
        convs = layers.conv_weights(mixer.conv_sm)
        (small, medium), self.biases = (values.float().chunk(2) for values in convs)
        self.kernels = small[..., 2:-2, 2:-2].contiguous(), medium.contiguous()
        self.conv_l = mixer.conv_l

    def parts(self, x: Tensor) -> list[Tensor]:
        same, *local, large = x.chunk(4, dim=1)
        small, medium = (
            F.conv2d(chunk, kernel, bias, padding=kernel.shape[-1] // 2, groups=len(kernel))
            for chunk, kernel, bias in zip(local, self.kernels, self.biases, strict=True)
        )
        return [same, small, medium, self.conv_l(large)]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.parts(x), dim=1)


class CopyAndOverwrite(Naive):
    """A copy of the input, of which three quarters are overwritten."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.clone()
        for old, new in zip(y.chunk(4, dim=1)[1:], self.parts(x)[1:], strict=True):
            old.copy_(new)
        return y


class IdentityAsKernel(nn.Module):
    """Identity, S and M in one depthwise 7x7 convolution."""

    def __init__(self, mixer: MergedChunkConv):
        super().__init__()
        weight, bias = (values.float() for values in layers.conv_weights(mixer.conv_sm))
        quarter = len(weight) // 2
        delta = F.pad(weight.new_ones(quarter, 1, 1, 1), (3, 3, 3, 3))
        self.weight = torch.cat((delta, weight))
        self.bias = torch.cat((bias.new_zeros(quarter), bias))
        self.conv_l = mixer.conv_l

    def forward(self, x: Tensor) -> Tensor:
        local, large = x.split((len(self.weight), len(self.weight) // 3), dim=1)
        local = F.conv2d(local, self.weight, self.bias, padding=3, groups=len(self.weight))
        return torch.cat((local, self.conv_l(large)), dim=1)


class NoConcatenation(nn.Module):
    """The pointwise convolution behind the mixer split by its inputs: four, and their sum."""

    def __init__(self, block: Block):
        super().__init__()
        self.mixer = Naive(block.token_mixer)
        first, self.act, self.project = block.channel_mixer
        self.weights, self.bias = first.weight.chunk(4, dim=1), first.bias

    def forward(self, x: Tensor) -> Tensor:
        parts = self.mixer.parts(x)
        y = F.conv2d(parts[0], self.weights[0], self.bias)
        for part, weight in zip(parts[1:], self.weights[1:], strict=True):
            y.add_(F.conv2d(part, weight))
        return x + self.project(self.act(y))


def with_mixer(build: Callable[[MergedChunkConv], nn.Module]) -> Callable[[Block], nn.Module]:
    """Replaces the token mixer of a block."""

    def replace(block: Block) -> nn.Module:
        block.token_mixer = build(block.token_mixer)
        return block

    return replace


VARIANTS: dict[str, Callable[[Block], nn.Module]] = {
    'naive': with_mixer(Naive),
    'S and M in one (fused)': lambda block: block,
    'identity, S and M in one': with_mixer(IdentityAsKernel),
    'copy and overwrite': with_mixer(CopyAndOverwrite),
    'no concatenation': NoConcatenation,
}


def build_networks(arch: str, device: str) -> dict[str, nn.Module]:
    """The training form, and the merged network in all variants."""
    torch.manual_seed(0)
    training = RepNeXt(arch).eval().to(device)
    merged = reparameterize_model(training)
    networks: dict[str, nn.Module] = {'training': training}
    for name, change in VARIANTS.items():
        network: Any = copy.deepcopy(merged)
        for stage in network.stages:
            stage.blocks = nn.ModuleList(change(block) for block in stage.blocks)
        networks[name] = network
    return networks


def measure(networks: dict[str, nn.Module], image: Tensor, rounds: int) -> dict[str, float]:
    """Median seconds of each network; they take turns, so that all of them see a busy machine."""
    times: dict[str, list[float]] = {name: [] for name in networks}
    for number in range(rounds + 1):
        for name, network in networks.items():
            start = time.perf_counter()
            network(image)
            if image.is_cuda:
                torch.cuda.synchronize()
            if number:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def size(text: str) -> tuple[int, int]:
    height, width = map(int, text.split('x'))
    return height, width


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--arch', default='m3', choices=['m0', 'm1', 'm2', 'm3', 'm4', 'm5'])
    parser.add_argument('--sizes', type=size, nargs='+', default=[(224, 224), (800, 1216)])
    parser.add_argument('--rounds', type=int, default=20)
    args = parser.parse_args()
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    networks = build_networks(args.arch, device)
    for height, width in args.sizes:
        image = torch.randn(1, 3, height, width, device=device)
        reference = networks['training'](image)[-1]
        times = measure(networks, image, args.rounds)
        print(f'{args.arch}, {height}x{width}, batch 1, {device}')
        for name, network in networks.items():
            difference = relative_difference(reference, network(image)[-1])
            print(f'  {times[name] / times["naive"]:.2f} x naive  {name}  ({difference:.0e})')


if __name__ == '__main__':
    main()
