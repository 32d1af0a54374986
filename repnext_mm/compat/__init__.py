"""The only place that knows which mm distribution, and which of its parts, are there."""

import importlib
from typing import TYPE_CHECKING, Any

from repnext_mm.compat.coreml import require_coremltools
from repnext_mm.compat.openvino import require_openvino
from repnext_mm.compat.packages import conv_module_type, is_installed, require, require_extra

if TYPE_CHECKING:
    from repnext_mm.compat.checkpoints import forbid_code_in_checkpoints, trust_mmengine_checkpoints
    from repnext_mm.compat.configs import provide_bases, read_config, read_yaml_as_data
    from repnext_mm.compat.mmcv_ops import provide_mmcv_ops

__all__ = [
    'conv_module_type',
    'forbid_code_in_checkpoints',
    'is_installed',
    'provide_bases',
    'provide_mmcv_ops',
    'read_config',
    'read_yaml_as_data',
    'require',
    'require_coremltools',
    'require_extra',
    'require_openvino',
    'trust_mmengine_checkpoints',
]

IN_FILES = {
    'forbid_code_in_checkpoints': 'checkpoints',
    'provide_bases': 'configs',
    'provide_mmcv_ops': 'mmcv_ops',
    'read_config': 'configs',
    'read_yaml_as_data': 'configs',
    'trust_mmengine_checkpoints': 'checkpoints',
}
"""Names of this room that are imported when they are asked for, and the files that have them."""


def __getattr__(name: str) -> Any:
    """Gives what needs torch or mmengine, so that the doctor can ask for packages where torch is broken."""
    if name in IN_FILES:
        return getattr(importlib.import_module(f'{__name__}.{IN_FILES[name]}'), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
