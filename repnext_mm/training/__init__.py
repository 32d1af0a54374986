"""Optimizer wrappers and their constructor, and resuming."""

from repnext_mm import registry  # noqa: F401 (says so if mmengine or mmcv is missing)
from repnext_mm.training.adaptive_clipping import (
    AdaptiveClipAmpOptimWrapper,
    AdaptiveClipOptimWrapper,
)
from repnext_mm.training.layer_decay import LayerDecayOptimWrapperConstructor

__all__ = [
    'AdaptiveClipAmpOptimWrapper',
    'AdaptiveClipOptimWrapper',
    'LayerDecayOptimWrapperConstructor',
]
