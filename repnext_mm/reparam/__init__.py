"""Structural re-parameterization: algebra, protocol and conversion of whole models."""

from repnext_mm.reparam.convert import (
    FORMS,
    Reparameterizable,
    SwitchToDeploy,
    inference_forms,
    mergeable_modules,
    reparameterize_model,
)

__all__ = [
    'FORMS',
    'Reparameterizable',
    'SwitchToDeploy',
    'inference_forms',
    'mergeable_modules',
    'reparameterize_model',
]
