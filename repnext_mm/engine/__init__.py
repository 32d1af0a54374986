"""What drives training besides the hooks."""

from repnext_mm.engine.layer_decay import LayerDecayOptimWrapperConstructor

__all__ = ['LayerDecayOptimWrapperConstructor']
