"""The C library's allocator, told to keep the memory of large tensors instead of giving it back.

glibc asks the system for each large block, and gives it back when the tensor goes. The next tensor
gets new pages, and the system clears each of them when it is first written to, which takes longer
than many a layer that writes it.
"""

import ctypes
import os
from functools import cache

from mmengine.device import get_device
from mmengine.logging import print_log

M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
"""Numbers of glibc's parameters, as in ``malloc.h``."""

OWN_SETTINGS = ('MALLOC_MMAP_MAX_', 'MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_')
"""Environment variables by which users tell glibc the same; these then hold."""

HUGE_PAGES = 'THP_MEM_ALLOC_ENABLE'
"""torch's environment variable for tensors of 2 MiB and more on pages of 2 MiB, where the kernel
offers these. torch reads it when the process makes its first tensor."""


def keep_memory() -> bool:
    """Lets the allocator of this process keep large blocks, if tensors lie on the CPU.

    The process then holds as much memory as it needed at its peak, until it ends. Tensors lie on
    huge pages, if this is called before the first one is made.

    Returns:
        Whether the allocator was told so: not with a GPU, another C library than glibc, or where
        an environment variable of glibc's allocator says what to do.
    """
    if get_device() != 'cpu' or any(name in os.environ for name in OWN_SETTINGS):
        return False
    if not _is_glibc():
        return False
    os.environ.setdefault(HUGE_PAGES, '1')
    library = ctypes.CDLL(None)
    kept = bool(library.mallopt(M_MMAP_MAX, 0) and library.mallopt(M_TRIM_THRESHOLD, -1))
    if kept:
        _say_once()
    return kept


@cache
def _say_once() -> None:
    """Says so, though each config that the process reads asks for it."""
    print_log(
        'no GPU: the memory of large tensors is kept for the next ones, which is faster; '
        '--release-memory gives it back to the system at once',
        logger='current',
    )


def _is_glibc() -> bool:
    """Whether this process runs on the GNU C library."""
    try:
        return (os.confstr('CS_GNU_LIBC_VERSION') or '').startswith('glibc')
    except (AttributeError, OSError, ValueError):  # Windows, macOS, musl
        return False
