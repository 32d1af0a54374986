"""Measuring that two forms of a model compute the same."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Features = dict[str, list[Tensor]]


def relative_difference(reference: Tensor, candidate: Tensor) -> float:
    """``max |candidate - reference| / max |reference|``; infinite if either input is not finite.

    Raises:
        ValueError: If the shapes differ.
    """
    if reference.shape != candidate.shape:
        raise ValueError(
            f'shapes differ: {tuple(reference.shape)} against {tuple(candidate.shape)}'
        )
    if reference.numel() == 0:
        return 0.0
    difference = (candidate.double() - reference.double()).abs().max()
    relative = (difference / reference.double().abs().max().clamp(min=1e-30)).item()
    return relative if math.isfinite(relative) else math.inf


def feature_differences(
    reference: nn.Module, candidate: nn.Module, names: list[str], run: Callable[[Any], object]
) -> dict[str, float]:
    """Runs two models on the same input and compares what named submodules put out.

    Both run in full precision: without autocast and without TensorFloat-32, whose
    rounding is a thousand times that of merging.

    Args:
        reference: A model in evaluation mode.
        candidate: Another one that has the same submodules under the same names.
        names: Names of submodules.
        run: Calls the model it is given; must do the same each time.

    Returns:
        For each name the largest :func:`relative_difference` over all calls.

    Raises:
        RuntimeError: If no named submodule ran, so that nothing was compared.
    """
    with torch.no_grad(), _full_precision():
        expected, actual = (_record(model, names, run) for model in (reference, candidate))
    differences = {
        name: max(
            relative_difference(a, b) for a, b in zip(expected[name], actual[name], strict=True)
        )
        for name in names
        if expected[name]
    }
    if not differences:
        raise RuntimeError(f'none of {names} ran, so the two forms could not be compared')
    return differences


def _record(model: nn.Module, names: list[str], run: Callable[[Any], object]) -> Features:
    """The outputs of each named submodule in one run of the model, call by call."""
    features: Features = {name: [] for name in names}

    def recorder(name: str):
        def record(module, args, output):
            features[name].extend(tensor.detach().clone() for tensor in _tensors(output))

        return record

    handles = [model.get_submodule(n).register_forward_hook(recorder(n)) for n in names]
    try:
        run(model)
    finally:
        for handle in handles:
            handle.remove()
    return features


def _tensors(output: object) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, list | tuple):
        for item in output:
            yield from _tensors(item)


@contextmanager
def _full_precision() -> Iterator[None]:
    matmul = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with (
            torch.backends.cudnn.flags(allow_tf32=False),
            torch.autocast('cuda' if torch.cuda.is_available() else 'cpu', enabled=False),
        ):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matmul
