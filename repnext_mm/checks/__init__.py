"""Checks of a config, its data and its checkpoint against each other, before anything slow."""

from repnext_mm import registry  # noqa: F401 (says so if mmengine or mmcv is missing)
