"""The only place that knows which mm distribution, and which of its parts, are there."""

from repnext_mm.compat.checkpoints import forbid_code_in_checkpoints, trust_mmengine_checkpoints
from repnext_mm.compat.configs import read_config, read_yaml_as_data
from repnext_mm.compat.mmcv_ops import provide_mmcv_ops
from repnext_mm.compat.openvino import require_openvino
from repnext_mm.compat.packages import conv_module_type, is_installed, require, require_extra

__all__ = [
    'conv_module_type',
    'forbid_code_in_checkpoints',
    'is_installed',
    'provide_mmcv_ops',
    'read_config',
    'read_yaml_as_data',
    'require',
    'require_extra',
    'require_openvino',
    'trust_mmengine_checkpoints',
]
