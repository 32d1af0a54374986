"""Structural re-parameterization: algebra, protocol and conversion of whole models."""

import importlib
from typing import TYPE_CHECKING, Any

from repnext_mm.compat import require_extra
from repnext_mm.reparam.forms import FORMS, INFERENCE_FORMS, TRAINING

if TYPE_CHECKING:
    from repnext_mm.reparam.convert import (
        Reparameterizable,
        SwitchToDeploy,
        inference_forms,
        mergeable_modules,
        reparameterize_model,
    )
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

LATER = {
    'FormAware': 'loading',
    'KeyReport': 'loading',
    'Reparameterizable': 'convert',
    'SwitchToDeploy': 'convert',
    'compare_keys': 'loading',
    'inference_forms': 'convert',
    'mergeable_modules': 'convert',
    'reparameterize_model': 'convert',
}
"""Names of this room that are imported when they are asked for, and the files that have them."""


def __getattr__(name: str) -> Any:
    """Gives what needs torch, so that the names of the forms are there without it."""
    if name in LATER:
        require_extra('torch', 'torch', f'repnext_mm.reparam.{name}')
        return getattr(importlib.import_module(f'{__name__}.{LATER[name]}'), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
