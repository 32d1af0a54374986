"""The device that a file shall run on, in the terms of each runtime."""

from __future__ import annotations

import re
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

CUDA = 'CUDAExecutionProvider'
CPU = 'CPUExecutionProvider'


def providers_for(device: str, runtime: ModuleType) -> list[Any]:
    """ONNX Runtime's providers for a device, the CPU last for operators that the device lacks.

    Args:
        device: ``'cpu'``, ``'cuda'`` or ``'cuda:N'``.
        runtime: The module ``onnxruntime``.

    Raises:
        ValueError: If there is no such device, or this ONNX Runtime has no provider for it.
    """
    number = _cuda_number(device)
    if number is None:
        return [CPU]
    available = runtime.get_available_providers()
    if CUDA not in available:
        raise ValueError(
            f'device={device!r} needs {CUDA}, and the onnxruntime that is installed has '
            f'{", ".join(available)}: pip uninstall -y onnxruntime && pip install onnxruntime-gpu, on a '
            "machine with NVIDIA's driver, CUDA and cuDNN"
        )
    return [(CUDA, {'device_id': number}), CPU]


def check_providers(device: str, session: Any) -> None:
    """Makes sure that a session of ONNX Runtime uses the device; it falls back without an error.

    Raises:
        ValueError: If it does not.
    """
    if _cuda_number(device) is not None and CUDA not in session.get_providers():
        raise ValueError(
            f'ONNX Runtime could not start {CUDA} for device={device!r}, and would have used '
            f"{', '.join(session.get_providers())}: look for NVIDIA's driver, CUDA and cuDNN in its "
            'messages above'
        )


def torch_device(device: str) -> torch.device:
    """torch's device of this name.

    Raises:
        ValueError: If there is none here.
    """
    import torch

    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"unknown device {device!r}: use 'cpu', 'cuda' or 'cuda:N'") from error
    if found.type == 'cuda' and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f'device={device!r} is not there: torch {torch.__version__} sees '
            f'{torch.cuda.device_count()} GPUs; it needs a GPU, its driver, and a torch for CUDA '
            '(https://pytorch.org/get-started)'
        )
    return found


def _cuda_number(device: str) -> int | None:
    """The number of a GPU; None for the CPU."""
    if device == 'cpu':
        return None
    match = re.fullmatch(r'cuda(?::(\d+))?', device)
    if match is None:
        raise ValueError(f"unknown device {device!r}: use 'cpu', 'cuda' or 'cuda:N'")
    return int(match[1] or 0)
