"""Generated images, and tools that start others without new processes."""

from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from commands import run_inside
from PIL import Image

from repnext_mm.experiments import running


@pytest.fixture
def cifar10(tmp_path):
    """Ten classes with two images each."""
    generator = np.random.default_rng(0)
    for split in ('train', 'test'):
        for number in range(20):
            path = tmp_path / 'cifar10' / split / f'class_{number % 10}' / f'{number}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 255, (32, 32, 3), np.uint8)).save(path)
    return tmp_path / 'cifar10'


@pytest.fixture
def tools_inside(cifar10, monkeypatch) -> Callable:
    """Runs a tool, and those that it starts, in this process."""

    def run_logged(command, log, say):
        tool, *arguments = command[2:]
        log.parent.mkdir(parents=True, exist_ok=True)
        with redirect_stdout(StringIO()):
            result = run_inside(Path(tool).name, *arguments, CIFAR10_ROOT=cifar10)
        log.write_text(result.stdout + f'\nValueError: {result.stderr}' * bool(result.returncode))
        return result.returncode

    monkeypatch.setattr(running, 'run_logged', run_logged)
    return lambda *arguments: run_inside(*arguments, CIFAR10_ROOT=cifar10)
