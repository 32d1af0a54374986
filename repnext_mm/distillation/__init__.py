"""Students that learn from a frozen teacher while they train, and are themselves otherwise.

Teachers, losses on soft labels and features, and :func:`build_student`, which makes any model of
OpenMMLab a student of features. What only classifiers need is in ``repnext_mm.classification``.
"""

from repnext_mm.distillation.features import Connector, FeatureLoss
from repnext_mm.distillation.losses import (
    ChannelWiseDivergence,
    JensenShannonDivergence,
    SymmetricDivergence,
)
from repnext_mm.distillation.student import FeatureStudent, build_student
from repnext_mm.distillation.teacher import Teacher

__all__ = [
    'ChannelWiseDivergence',
    'Connector',
    'FeatureLoss',
    'FeatureStudent',
    'JensenShannonDivergence',
    'SymmetricDivergence',
    'Teacher',
    'build_student',
]
