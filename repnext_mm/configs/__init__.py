"""Configs to inherit from in other projects; ``import repnext_mm`` leaves them alone."""

from pathlib import Path

BACKBONES = str(Path(__file__).with_name('backbones.py'))
"""File of :mod:`repnext_mm.configs.backbones`, for the ``_base_`` of a text-style config."""
