"""Threads of this process that fit what it may use of the machine, and children that end with it."""

import ctypes
import os
import signal
import sys
import threading
from functools import cache
from pathlib import Path

import torch
from mmengine.logging import print_log

OWN_THREADS = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')
"""Environment variables by which users say how many threads there are; these then hold."""

PROCESSES_HERE = ('LOCAL_WORLD_SIZE', 'SLURM_NTASKS_PER_NODE', 'OMPI_COMM_WORLD_LOCAL_SIZE')
"""Environment variables with the number of processes of a run on this machine, by its launcher."""

LAUNCHED_RANKS = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_RANK'}
"""Environment variables with the number of a process in its run, by the name of its launcher."""

QUOTA = Path('/sys/fs/cgroup/cpu.max')
"""Microseconds of processor time in each period, and the period: the limit of a container."""

PR_SET_PDEATHSIG = 1
"""Number of Linux's call, as in ``sys/prctl.h``."""


def available_cores() -> int:
    """The cores that this process may use: not those of others, and not more than its quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    try:
        limit, period = QUOTA.read_text(encoding='ascii').split()
        quota = int(limit) / int(period)
    except (OSError, ValueError):  # no such file, or 'max'
        return cores
    return max(1, min(cores, int(quota)))


def processes_here() -> int:
    """How many processes of this run share the machine."""
    for name in PROCESSES_HERE:
        text = os.environ.get(name, '')
        if text.isdigit() and int(text) > 0:
            return int(text)
    return 1


def is_first_process(launcher: str) -> bool:
    """Whether this process is the first of its run, which alone writes what all share.

    Args:
        launcher: One of :data:`LAUNCHED_RANKS`; a process of any other is a run of its own.
    """
    return os.environ.get(LAUNCHED_RANKS.get(launcher, ''), '0') == '0'


def limit_threads() -> int:
    """Gives torch as many threads as this process has cores, and says so once.

    More threads than free cores wait for each other, and a step can take many times as long.
    Workers of data loaders have one thread each, as torch makes them.

    Returns:
        The number of threads; that of the environment variable where one says so.
    """
    if any(name in os.environ for name in OWN_THREADS):
        return torch.get_num_threads()
    threads = max(1, available_cores() // processes_here())
    if threads < torch.get_num_threads():
        torch.set_num_threads(threads)
    _say_once(torch.get_num_threads(), available_cores(), processes_here())
    return torch.get_num_threads()


@cache
def _say_once(threads: int, cores: int, processes: int) -> None:
    text = (
        f'threads: {threads} in each process, of {cores} available cores and {processes} processes'
    )
    load = os.getloadavg()[0] if hasattr(os, 'getloadavg') else 0.0
    if load > cores:
        text += f'; others use the machine (load {load:.1f}): OMP_NUM_THREADS=1 may be faster'
    print_log(text, logger='current')


def end_children_with_this() -> bool:
    """Lets processes that are forked from the main thread end when this one does, however it ends.

    Workers of a data loader look after their parent themselves, but not while they wait for room
    to hand over a batch: those of a killed training could stay for good. Linux ends them at once.

    Returns:
        Whether that is so: not on other systems, nor for children that are no forks.
    """
    if not sys.platform.startswith('linux'):
        return False
    _register()
    return True


@cache
def _register() -> None:
    """Asks for it once in the process; each child counts as a parent of its own children."""
    library = ctypes.CDLL(None)

    def before() -> None:
        state.parent, state.in_main = os.getpid(), _in_main_thread()

    def in_child() -> None:
        # Linux counts the thread that forked as the parent, and another one may end before.
        if not state.in_main:
            return
        library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != state.parent:  # it ended in the meantime
            os._exit(128 + signal.SIGKILL)

    state = threading.local()
    os.register_at_fork(before=before, after_in_child=in_child)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
