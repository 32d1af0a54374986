"""Loading mmengine's own checkpoints without running code from them."""

import logging
import os
import pickle
from argparse import Namespace
from collections.abc import Callable

import numpy
import torch

SAFE, UNSAFE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
"""torch's environment variables, which may not both be set."""

TRUE = ('1', 'y', 'yes', 'true')
"""Values of these variables that switch them on, as torch reads them."""


def trust_mmengine_checkpoints() -> None:
    """Lets ``torch.load(weights_only=True)`` read what mmengine's ``CheckpointHook`` writes.

    Such a checkpoint holds, besides tensors, the log history: ``HistoryBuffer``
    objects around NumPy arrays, and references to their methods. Since torch 2.6 the
    safe loader is the default and refuses them, so that mmengine 0.10.7 cannot resume.
    (onedl-mmengine has a list of its own, which it takes away again after every load,
    ours with it.) The training scripts of the official RepNeXt-M add the ``Namespace`` of
    their arguments. NumPy 1 and 2 write different module names, so both spellings are
    allowed.
    """
    from mmengine.logging import HistoryBuffer

    if not _safe_loader_is_default():
        return

    core = numpy._core if hasattr(numpy, '_core') else numpy.core
    reconstruct, scalar = core.multiarray._reconstruct, core.multiarray.scalar
    dtypes = {type(numpy.dtype(code)) for code in numpy.typecodes['All'] if code not in 'MmOSUV'}
    trusted: list = [Namespace, HistoryBuffer, numpy.ndarray, numpy.dtype, *dtypes]
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        trusted += [(reconstruct, f'{module}._reconstruct'), (scalar, f'{module}.scalar')]
    trusted.append((_method_of_history, 'builtins.getattr'))
    torch.serialization.add_safe_globals(trusted)


def forbid_code_in_checkpoints() -> None:
    """Makes ``torch.load`` of this process, and of those that it starts, read data only.

    onedl-mmengine otherwise answers a refusal of the safe loader with the one that
    runs code. The environment variable ``TORCH_FORCE_WEIGHTS_ONLY_LOAD=0``, torch's own,
    allows it all the same; ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD`` does not, and is left out with a
    warning. Nothing happens before torch 2.6, whose safe loader does not take the
    names of mmengine's log history.
    """
    if not _safe_loader_is_default() or os.environ.setdefault(SAFE, '1') == '0':
        return
    if os.environ.pop(UNSAFE, '0').lower() not in ('0', ''):
        logging.getLogger(__name__).warning(
            'checkpoints are read as data here, so %s is ignored: %s=0 lets them run code, for '
            'files that you trust',
            UNSAFE,
            SAFE,
        )


def reads_data_only() -> bool:
    """Whether ``torch.load`` of this process runs no code from any file, whoever calls it."""
    return _safe_loader_is_default() and os.environ.get(SAFE, '').lower() in TRUE


def _safe_loader_is_default() -> bool:
    return tuple(int(part) for part in torch.__version__.split('.')[:2]) >= (2, 6)


def _method_of_history(owner: object, name: str) -> Callable:
    """Stands for ``getattr`` in checkpoints: gives methods of ``HistoryBuffer`` and nothing else."""
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'refusing to read the attribute {name!r} of {owner!r}')
    return getattr(HistoryBuffer, name)
