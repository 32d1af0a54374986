"""Loading mmengine's own checkpoints without running code from them."""

import numpy
import torch


def trust_mmengine_checkpoints() -> None:
    """Lets ``torch.load(weights_only=True)`` read what mmengine's ``CheckpointHook`` writes.

    Such a checkpoint holds, besides tensors, the log history: ``HistoryBuffer``
    objects around NumPy arrays and scalars. Since torch 2.6 the safe loader is the
    default and refuses them: mmengine 0.10.7 then cannot resume, and onedl-mmengine
    falls back to the loader that runs code. All of these are plain data. NumPy 1
    and 2 write different module names, so both spellings are allowed.
    """
    from mmengine.logging import HistoryBuffer

    core = numpy._core if hasattr(numpy, '_core') else numpy.core
    reconstruct, scalar = core.multiarray._reconstruct, core.multiarray.scalar
    dtypes = {type(numpy.dtype(code)) for code in numpy.typecodes['All'] if code not in 'MmOSUV'}
    trusted: list = [HistoryBuffer, numpy.ndarray, numpy.dtype, *dtypes]
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        trusted += [(reconstruct, f'{module}._reconstruct'), (scalar, f'{module}.scalar')]
    torch.serialization.add_safe_globals(trusted)
