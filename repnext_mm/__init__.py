"""RepNeXt for OpenMMLab: a backbone that trains with branches and infers without.

Importing this package registers its backbone, hook and optimizer constructor with
mmengine, and offers torchvision's operators where mmcv has no compiled ones. It
imports neither mmdet nor mmseg nor mmpretrain.
"""

from repnext_mm import compat
from repnext_mm.reparam import reparameterize_model
from repnext_mm.version import __version__

compat.provide_mmcv_ops()

if compat.is_installed('mmengine', 'mmcv'):
    compat.trust_mmengine_checkpoints()
    from repnext_mm import engine, hooks, models

    __all__ = ['__version__', 'engine', 'hooks', 'models', 'reparameterize_model']
else:
    __all__ = ['__version__', 'reparameterize_model']
