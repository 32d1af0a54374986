"""Checkpoint files: read and written, identified, loaded into models, merged."""

from repnext_mm import registry  # noqa: F401 (says so if mmengine or mmcv is missing)
