"""Registries of the scope ``repnext_mm``: children of mmengine's.

``type='repnext_mm.RepNeXt'`` makes mmengine import this file and then the
``locations``, from any project and without ``custom_imports``.
"""

from repnext_mm.compat import require

require('mmengine', 'building RepNeXt from a config')

from mmengine.registry import HOOKS as MMENGINE_HOOKS  # noqa: E402
from mmengine.registry import MODELS as MMENGINE_MODELS  # noqa: E402
from mmengine.registry import (  # noqa: E402
    OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
)
from mmengine.registry import Registry  # noqa: E402

MODELS = Registry(
    'model', parent=MMENGINE_MODELS, scope='repnext_mm', locations=['repnext_mm.models']
)
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='repnext_mm', locations=['repnext_mm.hooks'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope='repnext_mm',
    locations=['repnext_mm.engine'],
)
