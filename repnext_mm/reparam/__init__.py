"""Structural re-parameterization: algebra, protocol and conversion of whole models."""

from repnext_mm.reparam.convert import (
    Reparameterizable,
    SwitchToDeploy,
    inference_forms,
    mergeable_modules,
    reparameterize_model,
)
from repnext_mm.reparam.forms import FORMS, INFERENCE_FORMS, TRAINING
from repnext_mm.reparam.loading import FormAware, KeyReport, compare_keys

__all__ = [
    'FORMS',
    'INFERENCE_FORMS',
    'TRAINING',
    'FormAware',
    'KeyReport',
    'Reparameterizable',
    'SwitchToDeploy',
    'compare_keys',
    'inference_forms',
    'mergeable_modules',
    'reparameterize_model',
]
