"""Registries of the scope ``repnext_mm``: children of mmengine's.

``type='repnext_mm.RepNeXt'`` makes mmengine import this file and then the
``locations``, from any project and without ``custom_imports``.
"""

from repnext_mm.compat import require

for _package in ('mmengine', 'mmcv'):
    require(_package, 'building RepNeXt')

from mmengine import registry as mmengine_registry  # noqa: E402 (the check comes first)

MODELS = mmengine_registry.Registry(
    'model',
    parent=mmengine_registry.MODELS,
    scope='repnext_mm',
    locations=['repnext_mm.models', 'repnext_mm.export.evaluation'],
)
HOOKS = mmengine_registry.Registry(
    'hook', parent=mmengine_registry.HOOKS, scope='repnext_mm', locations=['repnext_mm.hooks']
)
OPTIM_WRAPPERS = mmengine_registry.Registry(
    'optimizer wrapper',
    parent=mmengine_registry.OPTIM_WRAPPERS,
    scope='repnext_mm',
    locations=['repnext_mm.engine'],
)
OPTIM_WRAPPER_CONSTRUCTORS = mmengine_registry.Registry(
    'optimizer wrapper constructor',
    parent=mmengine_registry.OPTIM_WRAPPER_CONSTRUCTORS,
    scope='repnext_mm',
    locations=['repnext_mm.engine'],
)
VISUALIZERS = mmengine_registry.Registry(
    'visualizer',
    parent=mmengine_registry.VISUALIZERS,
    scope='repnext_mm',
    locations=['repnext_mm.visualization.segmentation'],
)
