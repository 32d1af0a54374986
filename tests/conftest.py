"""Fixtures of all tests, and the order of their files."""

import os
from pathlib import Path
from unittest.mock import patch

import pytest
from mmengine.registry import DefaultScope

import repnext_mm

LONGEST = (
    'export/test_exporter.py',
    'test_configs.py',
    'tools/test_demo.py',
    'tools/test_tools.py',
    'tools/test_quantize.py',
    'reparam/test_convert.py',
    'tools/test_resume.py',
    'quantization/test_quantization.py',
    'export/test_dense_detectors.py',
    'reparam/test_loading.py',
    'test_packaging.py',
    'test_real_data.py',
    'projects/test_mm_tools.py',
    'projects/test_inferencers.py',
    'compat/test_packages.py',
    'compat/test_mmcv_ops.py',
    'runtime/test_runtime.py',
)
"""The files of tests that take more than about ten seconds, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first: processes that share the rest end at about the same time."""
    tests = Path(__file__).parent
    rank = {tests / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture(autouse=True)
def trust():
    """Again, because onedl-mmengine takes its part of the list away after every load."""
    repnext_mm.compat.trust_mmengine_checkpoints()


@pytest.fixture(autouse=True)
def environment():
    """No environment variable that an earlier test has set: tools forbid code in checkpoints so."""
    with patch.dict(os.environ):
        os.environ.pop('TORCH_FORCE_WEIGHTS_ONLY_LOAD', None)
        yield


@pytest.fixture(autouse=True)
def scope():
    """No default scope that an earlier test of this process has set."""
    DefaultScope._instance_dict.clear()
