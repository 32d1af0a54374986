"""RepNeXt for OpenMMLab: a backbone that trains with branches and infers without.

Importing this package registers its backbone, hook and optimizer constructor with
mmengine, and offers torchvision's operators where mmcv has no compiled ones. It
imports neither mmdet nor mmseg nor mmpretrain.
"""

import importlib
from types import ModuleType

from repnext_mm import compat
from repnext_mm.reparam import reparameterize_model
from repnext_mm.version import __version__

compat.provide_mmcv_ops()

if compat.is_installed('mmengine', 'mmcv'):
    compat.trust_mmengine_checkpoints()
    from repnext_mm import checkpoints, hooks, models, training

    __all__ = ['__version__', 'checkpoints', 'hooks', 'models', 'reparameterize_model', 'training']
else:
    __all__ = ['__version__', 'reparameterize_model']

    def __getattr__(name: str) -> ModuleType:
        """Importing one of these says what is missing and how to get it."""
        if name in ('checkpoints', 'hooks', 'models', 'training'):
            return importlib.import_module(f'repnext_mm.{name}')
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
