"""RepNeXt-T and RepNeXt-M in torch and torchvision alone: backbones, classifiers, checkpoints.

Nothing here imports a package of OpenMMLab; :mod:`repnext_mm.models` brings these networks
under OpenMMLab's contract.
"""

from repnext_mm.compat import require_extra

for _package in ('torch', 'torchvision'):
    require_extra(_package, 'torch', 'building RepNeXt')

from repnext_mm.networks.architectures import ARCHITECTURES  # noqa: E402 (the check comes first)
from repnext_mm.networks.backbone import RepNeXt  # noqa: E402
from repnext_mm.networks.classifier import RepNeXtClassifier  # noqa: E402

__all__ = ['ARCHITECTURES', 'RepNeXt', 'RepNeXtClassifier']
