"""Convolutions that know what follows them: convolution, addition and activation in one primitive.

torch computes a convolution, an addition and a ReLU one after the other, and each reads and writes
the whole feature map. The libraries that it computes convolutions with do all of it in one pass:
oneDNN on CPU (:mod:`~.onednn`) and cuDNN on NVIDIA's GPUs (:mod:`~.cudnn`). The operators that
offer this are private to torch. So they are used only where nobody can tell the difference
(:mod:`~.selection`): in inference, after they were seen to agree with torch's own layers on small
cases. Everywhere else (autograd, tracing, export, ``torch.compile``, hooks on a layer, other dtypes
and devices) the layers run as they are.
"""

from repnext_mm.reparam.primitives.layers import ConvSequential, conv_act, conv_add
from repnext_mm.reparam.primitives.selection import (
    ENVIRONMENT,
    are_maps_unseen,
    primitives,
    set_primitives,
)

__all__ = [
    'ENVIRONMENT',
    'ConvSequential',
    'are_maps_unseen',
    'conv_act',
    'conv_add',
    'primitives',
    'set_primitives',
]
