"""Fixtures of all tests."""

import pytest
from mmengine.registry import DefaultScope

import repnext_mm


@pytest.fixture(autouse=True)
def trust():
    """Again, because onedl-mmengine takes its part of the list away after every load."""
    repnext_mm.compat.trust_mmengine_checkpoints()


@pytest.fixture(autouse=True)
def scope():
    """No default scope that an earlier test of this process has set."""
    DefaultScope._instance_dict.clear()
