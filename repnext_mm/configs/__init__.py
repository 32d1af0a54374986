"""Configs to inherit from in other projects, and other backbones for recipes."""

from pathlib import Path

from repnext_mm.configs.swap import with_backbone

BACKBONES = str(Path(__file__).with_name('backbones.py'))
"""File of :mod:`repnext_mm.configs.backbones`, for the ``_base_`` of a text-style config."""

__all__ = ['BACKBONES', 'with_backbone']
