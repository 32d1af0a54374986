"""Head and distillation for mmpretrain's classifiers. Importing it imports mmpretrain.

Configs of classifiers name it: ``custom_imports = dict(imports=['repnext_mm.classification'])``.
"""

from repnext_mm.compat import require

require('mmpretrain', "RepNeXt's classification head")

from repnext_mm.classification.distillation import (  # noqa: E402 (checked first)
    DistilledClassifier,
    LabelFreeDataPreprocessor,
    SoftDistilledClassifier,
)
from repnext_mm.classification.head import RepNeXtClsHead  # noqa: E402

__all__ = [
    'DistilledClassifier',
    'LabelFreeDataPreprocessor',
    'RepNeXtClsHead',
    'SoftDistilledClassifier',
]
