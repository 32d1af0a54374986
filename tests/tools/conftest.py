"""A small dataset and a detector trained on it, once for all tests of the tools."""

from collections.abc import Callable
from pathlib import Path

import pytest
from commands import run_inside, test, train

from repnext_mm.demo.shapes import generate_shapes


@pytest.fixture(scope='session')
def data(tmp_path_factory) -> Path:
    return generate_shapes(tmp_path_factory.mktemp('data') / 'shapes', train=8, val=6)


@pytest.fixture(scope='session')
def checkpoint(data, tmp_path_factory) -> Path:
    """A detector after some iterations, with scores high enough to find things."""
    work_dir = tmp_path_factory.mktemp('train')
    train(data, work_dir, 6)
    return work_dir / 'iter_6.pth'


@pytest.fixture(scope='session')
def metrics(data, checkpoint, tmp_path_factory) -> dict:
    """Of the detector, merged as it is tested by default, in one process."""
    return test(data, checkpoint, tmp_path_factory.mktemp('test'))['metrics']


@pytest.fixture(scope='session')
def inside() -> Callable:
    """Runs a tool in this process, which saves it the seconds that imports take."""
    return run_inside
