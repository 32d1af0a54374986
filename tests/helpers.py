"""What the tests share: small networks, random statistics, and the one comparison."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from repnext_mm.models import RepNeXt

ARCHS = tuple(RepNeXt.arch_settings)
M_ARCHS = ('m0', 'm1', 'm2', 'm3', 'm4', 'm5')
T_ARCHS = tuple(arch for arch in ARCHS if arch not in M_ARCHS)
MODES = ('fused', 'plain')
FORMS = [(arch, 'fused') for arch in ARCHS] + [(arch, 'plain') for arch in T_ARCHS]
"""Every architecture with every form that it offers."""

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def slim(variant: str = 'tiny', channels=None, depths=(1, 1, 2, 1)) -> dict:
    """An arch dict with the layers of a named architecture, small enough for any test."""
    if channels is None:
        channels = (8, 16, 32, 64) if variant in M_ARCHS else (8, 12, 16, 24)
    return dict(channels=list(channels), depths=list(depths), variant=variant)


@contextmanager
def without_values() -> Iterator[None]:
    """Networks that are built here have names and shapes, and no values, which take seconds.

    Networks of mmpretrain compute their drop rates with torch; these are numbers all the same.
    """
    with torch.device('meta'), patch('torch.linspace', partial(torch.linspace, device='cpu')):
        yield


def randomize(model: nn.Module, seed: int = 0) -> nn.Module:
    """Gives every batch norm random statistics and affine parameters, as after training.

    With their initial values batch norms are identities, and wrong folding passes.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            for tensor, low, high in (
                (module.running_mean, -1.0, 1.0),
                (module.running_var, 0.5, 2.0),
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
            ):
                if tensor is not None:
                    drawn = torch.rand(tensor.shape, generator=generator)
                    tensor.detach().copy_(low + (high - low) * drawn)
    return model


def backbone(arch: str | dict = 'tiny', seed: int = 0, **options) -> RepNeXt:
    """A randomized backbone in evaluation mode."""
    torch.manual_seed(seed)
    return randomize(RepNeXt(arch, **options), seed).eval()


def tensors(output: object) -> list[Tensor]:
    """A tensor or a sequence of tensors as a list."""
    return [output] if isinstance(output, Tensor) else list(output)


def assert_close(candidate: object, reference: object, tolerance: float | None = None) -> None:
    """Asserts ``max |difference| <= tolerance * max |reference|`` for each pair of tensors.

    The default tolerance is the project's for exact conversions, by dtype.
    """
    pairs = list(zip(tensors(reference), tensors(candidate), strict=True))
    assert pairs, 'nothing to compare'
    for expected, actual in pairs:
        assert expected.shape == actual.shape and expected.dtype == actual.dtype
        assert torch.isfinite(expected).all() and expected.abs().max() > 0
        difference = ((actual - expected).abs().max() / expected.abs().max()).item()
        allowed = TOLERANCE[expected.dtype] if tolerance is None else tolerance
        assert difference <= allowed, f'relative difference {difference:.2e} > {allowed:.0e}'


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the state dict, to see later that nothing changed."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same_state(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Asserts that the state dict is bit-identical to an earlier one."""
    now = model.state_dict()
    assert list(now) == list(state)
    assert [name for name in state if not torch.equal(now[name], state[name])] == []
