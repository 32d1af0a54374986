"""Changes to a config for the device that is there, and for mixed precision."""

import atexit
import gc
import logging
import os
import subprocess

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import print_log

from repnext_mm.config_dicts import replace_types, type_name

MIXED_PRECISION = {
    'OptimWrapper': 'AmpOptimWrapper',
    'AdaptiveClipOptimWrapper': 'AdaptiveClipAmpOptimWrapper',
}
FULL_PRECISION = {mixed: full for full, mixed in MIXED_PRECISION.items()}
SYNCHRONIZED = ('SyncBN', 'MMSyncBN', 'SyncBatchNorm')
"""Batch norms that share their statistics between processes."""


def use_mixed_precision(cfg: Config) -> None:
    """Turns automatic mixed precision on, if the config does not do so itself.

    Args:
        cfg: A config with an ``optim_wrapper``, which is changed.

    Raises:
        ValueError: If the config's optimizer wrapper has no such variant.
    """
    kind = type_name(cfg.optim_wrapper) or 'OptimWrapper'
    if kind not in MIXED_PRECISION | FULL_PRECISION:
        raise ValueError(
            f'mixed precision knows the optimizer wrappers {tuple(MIXED_PRECISION)}, got {kind!r}'
        )
    cfg.optim_wrapper.type = MIXED_PRECISION.get(kind, kind)
    cfg.optim_wrapper.loss_scale = 'dynamic'


def adapt_to_device(cfg: Config) -> None:
    """Lets a config that was written for GPUs run on CPUs, with a warning for each change.

    mmengine's ``AmpOptimWrapper`` and NCCL refuse to work without a GPU, and its
    launcher selects one before it does anything else.

    Args:
        cfg: A config with ``launcher``, which is changed.

    Raises:
        ValueError: If the launcher is ``'slurm'`` and ``srun`` did not start this process.
    """
    if get_device() != 'cpu':
        return
    _use_full_precision(cfg)
    if replace_types(cfg.get('model'), SYNCHRONIZED, 'BN') or cfg.get('sync_bn'):
        cfg.sync_bn = None
        _warn('no GPU: batch norms are not synchronized between processes')
    if cfg.launcher != 'none':
        _use_gloo(cfg)


def _use_full_precision(cfg: Config) -> None:
    """Replaces an optimizer wrapper for mixed precision by its counterpart."""
    optim_wrapper = cfg.get('optim_wrapper') or ConfigDict()
    kind = type_name(optim_wrapper)
    if kind not in FULL_PRECISION:
        return
    optim_wrapper.type = FULL_PRECISION[kind]
    _warn(f'no GPU: training in full precision ({optim_wrapper.type} instead of {kind})')
    for name in ('loss_scale', 'dtype', 'use_fsdp'):
        optim_wrapper.pop(name, None)


def _use_gloo(cfg: Config) -> None:
    """Distributes over CPU processes, and starts their group where mmengine would want a GPU."""
    _warn('no GPU: distributed over CPU processes with gloo')
    atexit.register(leave_process_group)
    if cfg.launcher == 'slurm':
        _translate_slurm_variables()
    if cfg.launcher in ('pytorch', 'slurm') and not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    cfg.setdefault('env_cfg', ConfigDict()).dist_cfg = ConfigDict(backend='gloo')
    # What mmengine chooses itself where the config has no wrapper, but for the device.
    wrapper = ConfigDict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    cfg.setdefault('model_wrapper_cfg', wrapper).device_ids = None


def _translate_slurm_variables() -> None:
    """Sets torch's variables from Slurm's, as mmengine's launcher does where there is a GPU."""
    names = dict(RANK='SLURM_PROCID', WORLD_SIZE='SLURM_NTASKS', LOCAL_RANK='SLURM_LOCALID')
    missing = [name for name in (*names.values(), 'SLURM_NODELIST') if name not in os.environ]
    if missing:
        raise ValueError(
            f"launcher='slurm' needs {', '.join(missing)}, which srun sets for the processes that it "
            'starts: use tools/slurm_train.sh or tools/slurm_test.sh'
        )
    os.environ.update({ours: os.environ[theirs] for ours, theirs in names.items()})
    if 'MASTER_ADDR' not in os.environ:
        command = ['scontrol', 'show', 'hostname', os.environ['SLURM_NODELIST']]
        hosts = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        os.environ['MASTER_ADDR'] = hosts.split()[0]
    os.environ.setdefault('MASTER_PORT', '29500')


def leave_process_group() -> None:
    """Ends gloo's threads, which must not outlive the interpreter.

    They drop the tensors of a collective some time after they have announced its end,
    and one that does so while Python exits aborts the process. They end with the last
    reference to their group. Models in DDP hold one, hence the garbage collection.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        gc.collect()


def _warn(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)
