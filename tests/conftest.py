"""Fixtures of all tests."""

import pytest

import repnext_mm


@pytest.fixture(autouse=True)
def trust():
    """Again, because onedl-mmengine takes its part of the list away after every load."""
    repnext_mm.compat.trust_mmengine_checkpoints()
