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
    locations=['repnext_mm.models', 'repnext_mm.distillation'],
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
METRICS = mmengine_registry.Registry(
    'metric',
    parent=mmengine_registry.METRICS,
    scope='repnext_mm',
    locations=['repnext_mm.evaluation.many_objects'],
)
VISUALIZERS = mmengine_registry.Registry(
    'visualizer',
    parent=mmengine_registry.VISUALIZERS,
    scope='repnext_mm',
    locations=['repnext_mm.visualization.visualizers'],
)

Registered = TypeVar('Registered', bound=Callable)


def register(
    registry: mmengine_registry.Registry, name: str | None = None
) -> Callable[[Registered], Registered]:
    """Registers a class, or a function that builds, in a registry above and in mmengine's root.

    The scope serves configs that name no ``custom_imports`` (``type='repnext_mm.RepNeXt'``); the
    root serves those that do and leave the scope out (``type='RepNeXt'``), whose registries,
    mmdet's for one, look into their parent but not into ours.

    Args:
        registry: Such as :data:`MODELS`.
        name: The ``type`` in configs. Defaults to the name of the class.
    """

    def decorate(builder: Registered) -> Registered:
        registry.parent.register_module(name=name, module=builder)
        registry.register_module(name=name, module=builder)
        return builder

    return decorate
