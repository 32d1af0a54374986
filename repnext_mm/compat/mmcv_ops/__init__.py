"""mmcv's operators without a compiler.

mmcv installed without compiling has no extension module ``mmcv._ext``, and then
mmdet's two-stage detectors cannot even be imported. A finder at the end of
``sys.meta_path`` offers a module of that name, made of torchvision's operators and
of torch, for CPU and GPU; it stands behind Python's own finders, so a compiled
extension is always found first. Each operator has a file here, with the signature
that mmcv calls it with.
"""

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from repnext_mm.compat.packages import compile_advice

EXTENSION = 'mmcv._ext'

STAND_INS = {
    'attention': ('ms_deform_attn_forward', 'ms_deform_attn_backward'),
    'carafe': (
        'carafe_forward',
        'carafe_backward',
        'carafe_naive_forward',
        'carafe_naive_backward',
    ),
    'deform_conv': (
        'deform_conv_forward',
        'deform_conv_backward_input',
        'deform_conv_backward_parameters',
    ),
    'focal_loss': ('sigmoid_focal_loss_forward', 'sigmoid_focal_loss_backward'),
    'masked_conv': ('masked_im2col_forward', 'masked_col2im_forward'),
    'modulated_deform_conv': (
        'modulated_deform_conv_forward',
        'modulated_deform_conv_backward',
    ),
    'nms': ('nms', 'nms_match', 'softnms'),
    'psa_mask': ('psamask_forward', 'psamask_backward'),
    'roi_align': ('roi_align_forward', 'roi_align_backward'),
}
"""The files of this folder, and the operators in them."""


def provide_mmcv_ops() -> None:
    """Offers the stand-in for ``mmcv._ext``; imports nothing, and may be called again."""
    if not any(isinstance(finder, _ExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.append(_ExtensionFinder())


class _ExtensionFinder(importlib.abc.MetaPathFinder):
    """Finds ``mmcv._ext`` where nobody else did."""

    def find_spec(self, fullname, path=None, target=None) -> ModuleSpec | None:
        if fullname != EXTENSION:
            return None
        return importlib.util.spec_from_loader(fullname, _ExtensionLoader(), origin='torchvision')


class _ExtensionLoader(importlib.abc.Loader):
    """Makes the stand-in module."""

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        import torchvision  # noqa: F401 (registers torch.ops.torchvision)

        vars(module).update(
            __doc__=__doc__,
            __getattr__=_missing_operator,
            **stand_ins(),
            get_compiler_version=lambda: 'none (torchvision operators)',
            get_compiling_cuda_version=lambda: 'not available',
        )


def stand_ins() -> dict[str, Callable[..., Any]]:
    """The operators of this folder by the names that mmcv calls them by."""
    found: dict[str, Callable[..., Any]] = {}
    for file, names in STAND_INS.items():
        module = importlib.import_module(f'{__name__}.{file}')
        found |= {name: getattr(module, name) for name in names}
    return found


def _missing_operator(name: str) -> Callable:
    """Module-level ``__getattr__``: a function that says what is missing when it is called."""
    if name.startswith('__'):
        raise AttributeError(name)

    def missing(*args, **kwargs):
        raise NotImplementedError(
            f'the mmcv operator {name!r} has no stand-in in torch or torchvision. {compile_advice()}'
        )

    return missing
