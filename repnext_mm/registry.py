"""Registries of the scope ``repnext_mm``: children of mmengine's.

``type='repnext_mm.RepNeXt'`` makes mmengine import this file and then the
``locations``, from any project and without ``custom_imports``. Classes of higher rooms, such as
``ExportedModel`` or mmpretrain's classifiers, are registered when their modules are imported.
"""

from collections.abc import Callable
from typing import TypeVar

from repnext_mm.compat import require

for _package in ('mmengine', 'mmcv'):
    require(_package, 'building RepNeXt')

from mmengine import registry as mmengine_registry  # noqa: E402 (the check comes first)

MODELS = mmengine_registry.Registry(
    'model',
    parent=mmengine_registry.MODELS,
    scope='repnext_mm',
    locations=['repnext_mm.models'],
)
HOOKS = mmengine_registry.Registry(
    'hook', parent=mmengine_registry.HOOKS, scope='repnext_mm', locations=['repnext_mm.hooks']
)
OPTIM_WRAPPERS = mmengine_registry.Registry(
    'optimizer wrapper',
    parent=mmengine_registry.OPTIM_WRAPPERS,
    scope='repnext_mm',
    locations=['repnext_mm.training'],
)
OPTIM_WRAPPER_CONSTRUCTORS = mmengine_registry.Registry(
    'optimizer wrapper constructor',
    parent=mmengine_registry.OPTIM_WRAPPER_CONSTRUCTORS,
    scope='repnext_mm',
    locations=['repnext_mm.training'],
)
VISUALIZERS = mmengine_registry.Registry(
    'visualizer',
    parent=mmengine_registry.VISUALIZERS,
    scope='repnext_mm',
    locations=['repnext_mm.visualization.segmentation'],
)

Class = TypeVar('Class', bound=type)


def register(registry: mmengine_registry.Registry) -> Callable[[Class], Class]:
    """Registers a class in one of the registries above and in its parent, mmengine's root.

    The scope serves configs that name no ``custom_imports`` (``type='repnext_mm.RepNeXt'``); the
    root serves those that do and leave the scope out (``type='RepNeXt'``), whose registries,
    mmdet's for one, look into their parent but not into ours.

    Args:
        registry: Such as :data:`MODELS`.
    """

    def decorate(cls: Class) -> Class:
        registry.parent.register_module(module=cls)
        registry.register_module(module=cls)
        return cls

    return decorate
