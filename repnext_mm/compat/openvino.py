"""OpenVINO without its telemetry."""

import sys
from types import ModuleType
from typing import Any, cast

from repnext_mm.compat.packages import require_extra

TELEMETRY = 'openvino_telemetry'
"""The package through which OpenVINO reports that it is imported and what it converts."""


def require_openvino(purpose: str) -> ModuleType:
    """Imports OpenVINO, with its telemetry off in this process.

    Otherwise the import looks up an analytics host and writes an id into the home folder, unless
    somebody has opted out.

    Args:
        purpose: What it is needed for, for the error message.

    Raises:
        ImportError: If it is not installed; the message says how to install it.
    """
    silence_openvino()
    return require_extra('openvino', 'openvino', purpose)


def silence_openvino() -> None:
    """Turns OpenVINO's telemetry off in this process; may be called again.

    Its package cannot be imported afterwards, and OpenVINO puts a stub of its own in its place.
    Where somebody has imported it before, it is told that its user declines.
    """
    loaded = sys.modules.setdefault(TELEMETRY, cast(Any, None))
    if loaded is None:
        return
    from openvino_telemetry.utils.opt_in_checker import ConsentCheckResult, OptInChecker

    OptInChecker.check = lambda *args, **options: ConsentCheckResult.DECLINED
    try:
        loaded.Telemetry().consent = False
    except RuntimeError:  # it has not been started yet
        return
