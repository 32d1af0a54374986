"""What the network of a case runs on: images, and the place, precision and layout of both."""

import functools

import numpy as np
import torch
from torch import Tensor, nn

from repnext_mm.evaluation.benchmark.cases import Case
from repnext_mm.export.data import draw_shapes
from repnext_mm.reparam.fastest import AS_IS, CHANNELS_LAST


def images_of(case: Case) -> np.ndarray:
    """Generated images ``(N, H, W, 3)``, uint8, RGB."""
    assert case.shape is not None
    drawn = {seed: draw_shapes(*case.shape, seed=seed) for seed in range(min(case.batch, 8))}
    return np.stack([drawn[number % 8] for number in range(case.batch)])


def arranged_for(network: nn.Module, case: Case) -> nn.Module:
    """The network on its device, in its precision and layout."""
    network = network.to(case.device, getattr(torch, case.dtype))
    if case.layout != AS_IS:
        network = network.to(memory_format=memory_format_of(case))  # type: ignore[call-overload]
    return network


def memory_format_of(case: Case) -> torch.memory_format:
    """Of the images, and of the weights unless they stay as they are."""
    return torch.channels_last if case.layout == CHANNELS_LAST else torch.contiguous_format


def inputs_of(case: Case) -> Tensor:
    """Normalized images ``(N, 3, H, W)`` for a backbone, the same tensor for all like cases."""
    assert case.shape is not None
    dtype = getattr(torch, case.dtype)
    return _drawn(case.batch, case.shape, case.device, dtype, memory_format_of(case))


@functools.lru_cache(maxsize=2)
def _drawn(
    batch: int,
    shape: tuple[int, int],
    device: str,
    dtype: torch.dtype,
    memory_format: torch.memory_format,
) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(min(batch, 8), 3, *shape, generator=generator).to(device, dtype)
    images = images.repeat(-(-batch // 8), 1, 1, 1)[:batch]
    return images.contiguous(memory_format=memory_format)
