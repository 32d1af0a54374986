"""From a command line and a config to a run."""

from repnext_mm import registry  # noqa: F401 (says so if mmengine or mmcv is missing)
