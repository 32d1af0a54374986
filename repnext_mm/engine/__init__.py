"""What drives training besides the hooks."""

from repnext_mm import registry  # noqa: F401 (says so if mmengine or mmcv is missing)
from repnext_mm.engine import checkpoint_files  # noqa: F401 (replaces mmengine's loaders)
from repnext_mm.engine.adaptive_clipping import (
    AdaptiveClipAmpOptimWrapper,
    AdaptiveClipOptimWrapper,
)
from repnext_mm.engine.layer_decay import LayerDecayOptimWrapperConstructor

__all__ = [
    'AdaptiveClipAmpOptimWrapper',
    'AdaptiveClipOptimWrapper',
    'LayerDecayOptimWrapperConstructor',
]
