"""Values of a network that float16 cannot hold, found before a file in float16 is written.

A weight too large is seen by itself; an activation only on images. On processors runtimes compute
float16 files in float32, so a comparison there passes; on a GPU infinity becomes NaN, and a
detector of NaN finds nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from repnext_mm.export.tasks import Task

LARGEST = torch.finfo(torch.float16).max


def check_activations(task: Task, subject: nn.Module, images: Sequence[np.ndarray]) -> None:
    """Makes sure that float16 holds all that the layers of a network put out.

    Args:
        task: Of the network.
        subject: The network in float32, as the task predicts with it.
        images: ``(H, W, 3)`` uint8, RGB.

    Raises:
        ValueError: If it does not; the message names the first layer in the order of computation
            and its largest value.
    """
    for image in images:
        with largest_outputs(subject) as found:
            task.predict(subject, image)
        for layer, value in found.items():
            if not value <= LARGEST:
                height, width = image.shape[:2]
                raise ValueError(
                    f'{layer} puts out values of up to {value:.3g} on a test image of {height} x '
                    f'{width}, and float16 holds {LARGEST:.0f} at most: export in float32 '
                    '(half=False), or in 8 bits with tools/quantize.py'
                )


@contextmanager
def largest_outputs(network: nn.Module) -> Iterator[dict[str, float]]:
    """Measures the outputs of all modules of a network that runs inside this context.

    Yields:
        By the module's name its largest magnitude, in the order in which modules ended first.
    """
    found: dict[str, float] = {}

    def measure(name: str) -> Any:
        def hook(module: nn.Module, args: tuple, output: Any) -> None:
            for tensor in _float_tensors(output):
                value = tensor.detach().abs().amax().item()
                found[name] = max(found.get(name, 0.0), value if value == value else torch.inf)

        return hook

    handles = [
        module.register_forward_hook(measure(name))
        for name, module in network.named_modules()
        if name
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _float_tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        if output.is_floating_point() and output.numel():
            yield output
    elif isinstance(output, list | tuple):
        for part in output:
            yield from _float_tensors(part)
