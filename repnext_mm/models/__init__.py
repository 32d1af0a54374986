"""Networks, and what the registry finds under the scope ``repnext_mm``."""

from repnext_mm import registry  # noqa: F401 (says so if mmengine or mmcv is missing)
from repnext_mm.models.dilated_repvgg import dilated_repvgg
from repnext_mm.models.repnext import RepNeXt
from repnext_mm.models.simple_pyramid import SimpleFeaturePyramid
from repnext_mm.models.timm_features import TimmFeatures

__all__ = ['RepNeXt', 'SimpleFeaturePyramid', 'TimmFeatures', 'dilated_repvgg']
