"""RepNeXt-T and RepNeXt-M in torch and torchvision alone: backbones, classifiers, checkpoints.

Nothing here imports a package of OpenMMLab; :mod:`repnext_mm.models` brings these networks
under OpenMMLab's contract.
"""

from repnext_mm.networks.architectures import ARCHITECTURES
from repnext_mm.networks.backbone import RepNeXt
from repnext_mm.networks.classifier import RepNeXtClassifier

__all__ = ['ARCHITECTURES', 'RepNeXt', 'RepNeXtClassifier']
