"""What happens when, in a run of mmengine's Runner."""

from repnext_mm.hooks.reparameterize_hook import ReparameterizeHook

__all__ = ['ReparameterizeHook']
