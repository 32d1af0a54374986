"""Training that goes on after a kill, from the last complete checkpoint."""

import logging
import os
import pickle
import re
import zipfile
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from repnext_mm.compat import trust_mmengine_checkpoints
from repnext_mm.config_dicts import type_name

LATEST = 'auto'
CHECKPOINT = re.compile(r'(?:epoch|iter)_(\d+)\.pth')
TRAINING_STATE = ('meta', 'message_hub', 'optimizer')
"""Entries of a checkpoint that ``Runner.resume`` needs besides the weights."""


def prepare_resume(cfg: Config, source: str | None) -> None:
    """Says in a config which checkpoint the training resumes from.

    Args:
        cfg: A config; ``resume=True`` without ``load_from`` asks for the latest, too.
        source: A checkpoint, or ``'auto'`` for the latest complete one of the work
            dir; if there is none yet, training starts as without resuming, from
            ``load_from`` if that is set. None leaves it to the config.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is incomplete or lacks the state of a training.
    """
    if source is None and cfg.get('resume'):
        source = cfg.get('load_from') or LATEST
    if source is None:
        return
    if source != LATEST:
        check_training_state(source)
        cfg.resume, cfg.load_from = True, source
        return
    latest = latest_checkpoint(cfg.work_dir)
    cfg.resume = latest is not None
    if latest is None:
        _log(f'No checkpoint to resume from in {cfg.work_dir}: training starts from the beginning')
    else:
        _log(f'Resuming from {latest}')
        cfg.load_from = latest


def latest_checkpoint(work_dir: str | Path) -> str | None:
    """The newest complete checkpoint of a training.

    That is what ``last_checkpoint`` names; if it is missing or incomplete, the
    ``epoch_*.pth`` or ``iter_*.pth`` with the highest number that is complete, in the work
    dir or next to the named one. A warning names what was skipped.
    """
    work_dir = Path(work_dir)
    pointer = work_dir / 'last_checkpoint'
    named = pointer.read_text().strip() if pointer.is_file() else ''
    if '://' in named:
        return named
    folders = {work_dir, Path(named).parent} if named else {work_dir}
    files = [path for folder in folders for path in folder.glob('*.pth')]
    numbers = {path: match for path in files if (match := CHECKPOINT.fullmatch(path.name))}
    # Of equal numbers, the file that was written last.
    candidates = sorted(
        numbers,
        key=lambda path: (int(numbers[path].group(1)), path.stat().st_mtime),
        reverse=True,
    )
    for path in [Path(named), *candidates] if named else candidates:
        problem = _problem(path)
        if problem is None:
            return str(path)
        _log(f'Skipping the checkpoint {path}: {problem}', logging.WARNING)
    return None


def check_training_state(path: str) -> None:
    """Makes sure that a training can be resumed from a file; URLs are not looked at.

    Reads the file's structure, not its weights.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is incomplete or lacks the state of a training.
    """
    if '://' in path or Path(path).is_dir():
        return
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no checkpoint {path!r} to resume from')
    problem = _problem(Path(path))
    if problem is None:
        lacking = [repr(key) for key in TRAINING_STATE if key not in _top_level(path)]
        problem = f'it lacks {", ".join(lacking)}' if lacking else None
    if problem is not None:
        raise ValueError(
            f'no training can be resumed from {path!r}: {problem}. To start a new training from '
            f'its weights, set load_from={path!r} in the config and do not resume'
        )


def make_deterministic(cfg: Config) -> None:
    """Lets resumed runs equal uninterrupted ones, if the config asks for determinism.

    Nothing happens without ``randomness=dict(deterministic=True)``. With it, the
    config gets a ``ReseedHook``, workers that do not outlive an epoch, since their
    random states cannot be restored, and the workspace with which cuBLAS is
    deterministic (torch refuses to use it otherwise).

    Raises:
        ValueError: If there is no seed.
    """
    randomness = cfg.get('randomness') or {}
    if not randomness.get('deterministic'):
        return
    if randomness.get('seed') is None:
        raise ValueError(
            'randomness.deterministic=True needs a seed that is the same after resuming: set '
            'randomness.seed, for example to 0'
        )
    os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    hooks = list(cfg.get('custom_hooks') or [])
    if not any(type_name(hook) == 'ReseedHook' for hook in hooks):
        cfg.custom_hooks = [*hooks, dict(type='repnext_mm.ReseedHook')]
    loader = cfg.get('train_dataloader') or {}
    if loader.get('persistent_workers'):
        loader['persistent_workers'] = False
        _log(
            'Deterministic training: train_dataloader.persistent_workers is set to False, since '
            'the random states of workers that outlive an epoch cannot be restored'
        )


def _problem(path: Path) -> str | None:
    """Why a file is no complete checkpoint: ``torch.save`` writes zip archives, their index last."""
    if path.is_dir():
        return None  # DeepSpeed's, which has no such index
    if not path.is_file():
        return 'there is no such file'
    try:
        with zipfile.ZipFile(path) as archive:
            complete = any(name.endswith('/data.pkl') for name in archive.namelist())
    except zipfile.BadZipFile:
        complete = False
    return None if complete else 'it is incomplete, or not a file of torch.save'


def _top_level(path: str) -> tuple[str, ...]:
    """The keys of a checkpoint; those of a training if it cannot be read as data."""
    trust_mmengine_checkpoints()
    try:
        content = torch.load(path, map_location='meta', mmap=True, weights_only=True)
    except pickle.UnpicklingError:
        return TRAINING_STATE
    return tuple(content) if isinstance(content, dict) else ()


def _log(message: str, level: int = logging.INFO) -> None:
    print_log(message, logger='current', level=level)
