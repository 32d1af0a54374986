"""Adaptive gradient clipping (NFNet, arXiv 2102.06171, section 4), which mmengine lacks."""

from typing import Any

from mmengine.optim import AmpOptimWrapper, OptimWrapper

from repnext_mm.compat import require
from repnext_mm.registry import OPTIM_WRAPPERS, register


class _AdaptiveClipping:
    """Gives an optimizer wrapper timm's ``adaptive_clip_grad`` as its way of clipping."""

    def __init__(self, *args: Any, clip_grad: dict, **kwargs: Any):
        unknown = set(clip_grad) - {'clip_factor', 'eps', 'norm_type'}
        if unknown or not clip_grad.get('clip_factor', 0) > 0:
            raise ValueError(
                'adaptive clipping takes clip_grad=dict(clip_factor=0.02), and optionally eps and '
                f'norm_type; got {dict(clip_grad)}'
            )
        super().__init__(*args, clip_grad=dict(clip_grad), **kwargs)  # type: ignore[call-arg]
        self.clip_func = require('timm.utils', 'adaptive gradient clipping').adaptive_clip_grad


@register(OPTIM_WRAPPERS)
class AdaptiveClipOptimWrapper(_AdaptiveClipping, OptimWrapper):
    """mmengine's ``OptimWrapper`` that clips gradients by the norm of their weights.

    Each row of a weight has its gradient scaled down where its norm exceeds
    ``clip_factor`` times that of the row, or of ``eps`` if that is larger.

    Config::

        optim_wrapper = dict(
            type='repnext_mm.AdaptiveClipOptimWrapper', clip_grad=dict(clip_factor=0.02),
            optimizer=dict(type='AdamW', lr=4e-3))

    Raises:
        ValueError: If ``clip_grad`` has other keys or values.
        ImportError: If timm is not installed.
    """


@register(OPTIM_WRAPPERS)
class AdaptiveClipAmpOptimWrapper(_AdaptiveClipping, AmpOptimWrapper):
    """:class:`AdaptiveClipOptimWrapper` with automatic mixed precision."""
