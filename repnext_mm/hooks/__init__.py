"""What happens when, in a run of mmengine's Runner."""

from repnext_mm import registry  # noqa: F401 (says so if mmengine or mmcv is missing)
from repnext_mm.hooks.reparameterize_hook import ReparameterizeHook

__all__ = ['ReparameterizeHook']
