"""RepNeXt for OpenMMLab: a backbone that trains with branches and infers without.

Importing this package registers its backbones, hooks and optimizer wrappers with mmengine, under
the scope ``repnext_mm`` and in the root, and calls :func:`install`, which changes the first five of
these things in the process:

- ``mmcv_ops``: where mmcv has no compiled extension ``mmcv._ext``, operators of torch and
  torchvision stand in for it.
- ``checkpoint_loaders``: mmengine's loaders of checkpoints from paths and from http(s) URLs are
  replaced by ones that also read safetensors and RepNeXt checkpoints of other layouts.
- ``log_history``: the classes of mmengine's log history count as data for ``torch.load``, so that
  mmengine's checkpoints load with the safe loader.
- ``file_backend``: mmengine gets a file backend ``'repnext_mm.whole_files'`` beside its own.
- ``config_bases``: a config inherits from one of ours with ``_base_ = 'repnext_mm::NAME.py'``.
- ``safe_loading``: no checkpoint and no YAML file can run code, whoever reads it. Left to
  ``repnext_mm.install(safe_loading=True)``, for scripts of other projects may need it otherwise.

With the environment variable ``REPNEXT_MM_INSTALL=0`` the import leaves all alone, and
``repnext_mm.install(mmcv_ops=True, checkpoint_loaders=False)`` does some of them, or all.

It imports neither mmdet nor mmseg nor mmpretrain. Where torch is missing it changes nothing, and
:mod:`repnext_mm.runtime` alone works.
"""

import importlib
import os
import re
import sys
from types import ModuleType

from repnext_mm.version import __version__

__all__ = ['__version__']


WITHOUT_TORCH = {f'repnext_mm.{room}' for room in ('doctor', 'commands', 'serve', 'web')}
"""What runs with ``python -m`` in environments without the heavy packages."""


def _is_for_the_command_line() -> bool:
    """Whether ``repnext-mm`` or one of :data:`WITHOUT_TORCH` imports this.

    The doctor has to run in any environment, and ``repnext-mm`` answers at once where its command
    needs none of the heavy packages; for other commands it imports this again.
    """
    if sys.argv[:1] == ['-m']:
        asked = {argument.removeprefix('-m') for argument in sys.orig_argv}
        return bool(asked & WITHOUT_TORCH)
    return bool(sys.argv) and re.split(r'[\\/]', sys.argv[0])[-1] in (
        'repnext-mm',
        'repnext-mm.exe',
    )


if not _is_for_the_command_line():
    from repnext_mm import compat

    if compat.is_installed('torch'):
        from repnext_mm.installation import VARIABLE, install
        from repnext_mm.reparam import reparameterize_model

        __all__ += ['install', 'reparameterize_model']

        if os.environ.get(VARIABLE) != '0':
            install()

    if compat.is_installed('torch', 'mmengine', 'mmcv'):
        from repnext_mm import checkpoints, hooks, models, training

        __all__ += ['checkpoints', 'hooks', 'models', 'training']
    else:

        def __getattr__(name: str) -> ModuleType:
            """Importing one of these says what is missing and how to get it."""
            if name in ('install', 'reparameterize_model'):  # which are there where torch is
                compat.require_extra('torch', 'torch', f'repnext_mm.{name}')
            if name in ('checkpoints', 'hooks', 'models', 'training'):
                return importlib.import_module(f'repnext_mm.{name}')
            raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
