"""Which of the OpenMMLab packages are installed, and how to get the others.

Two distributions provide the same import names: OpenMMLab's own, last released
in 2024, and OneDL's maintained continuation. Installing one over the other
leaves a mixture of both, so this package requires neither and works with either.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Collection
from types import ModuleType
from typing import Any

os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')
# ONNX Runtime from 1.31 on sends data about its use to its makers' host, and keeps files in the home
# folder, unless this is set before it is imported. A user's own value stays.

INSTALL = "pip install 'repnext-mm[onedl]'"
"""The command that installs everything; ``[openmmlab]`` instead of ``[onedl]`` for the classic packages."""


def is_installed(*packages: str) -> bool:
    """Whether all these packages can be imported; imports none of them."""
    return all(
        sys.modules.get(name) is not None or importlib.util.find_spec(name) is not None
        for name in packages
    )


def require(package: str, purpose: str) -> ModuleType:
    """Imports a package of OpenMMLab.

    Args:
        package: Import name, such as ``'mmdet'``.
        purpose: What it is needed for, for the error message.

    Raises:
        ImportError: If it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.split('.')[0]:
            raise
        raise ImportError(
            f'{purpose} needs {package.split(".")[0]}, which is not installed: {INSTALL} (or '
            "'repnext-mm[openmmlab]' for the classic packages, but not one over the other)"
        ) from error


def require_extra(package: str, extra: str, purpose: str, command: str | None = None) -> ModuleType:
    """Imports a package that one of this package's extras brings.

    Args:
        package: Import name, such as ``'onnxruntime'``.
        extra: Such as ``'onnx'``.
        purpose: What it is needed for, for the error message.
        command: What installs it, where that is no extra.

    Raises:
        ImportError: If it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(
            f'{purpose} needs {package}, which is not installed: '
            + (command or f"pip install 'repnext-mm[{extra}]'")
        ) from error


def compile_advice() -> str:
    """How to get mmcv's compiled operators in the distribution that is installed."""
    installed = {distribution.name for distribution in importlib.metadata.distributions()}
    return (
        'mmcv with compiled operators has it, and is used as soon as it is there; building it takes '
        f'a compiler and some 20 minutes: {compile_command(installed)}'
    )


def compile_command(installed: Collection[str]) -> str:
    """The command that compiles mmcv's operators.

    Args:
        installed: Names of the distributions that are there, such as ``'onedl-mmcv'``.
    """
    name = 'onedl-mmcv' if 'onedl-mmcv' in installed else 'mmcv'
    remove = 'pip uninstall -y mmcv-lite && ' if 'mmcv-lite' in installed else ''
    return (
        f"{remove}pip install 'setuptools<82' ninja && "
        f'MMCV_WITH_OPS=1 pip install --force-reinstall --no-deps --no-build-isolation '
        f'--no-binary {name} {name}'
    )


def conv_module_type() -> tuple[Any, ...]:
    """mmcv's ``ConvModule`` for use with ``isinstance``; empty while mmcv is not imported."""
    cnn = sys.modules.get('mmcv.cnn')
    return () if cnn is None else (cnn.ConvModule,)
