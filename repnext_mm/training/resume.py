"""Training that goes on after a kill, from the last good checkpoint."""

import logging
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from repnext_mm.compat import trust_mmengine_checkpoints
from repnext_mm.config_dicts import type_name
from repnext_mm.integrity import damage, listed, named_tensors, not_finite

LATEST = 'auto'
CHECKPOINT = re.compile(r'(?:epoch|iter)_(\d+)\.pth')
TRAINING_STATE = ('meta', 'message_hub', 'optimizer')
"""Entries of a checkpoint that ``Runner.resume`` needs besides the weights."""
WEIGHTS = ('state_dict', 'ema_state_dict', 'optimizer')
"""Entries of a checkpoint that must be finite to go on from."""
DIVERGED = (
    'The training had diverged when it was written: resume from an earlier checkpoint, or start '
    'anew with a lower learning rate'
)


def prepare_resume(cfg: Config, source: str | None) -> None:
    """Says in a config which checkpoint the training resumes from.

    Args:
        cfg: A config; ``resume=True`` without ``load_from`` asks for the latest, too.
        source: A checkpoint, or ``'auto'`` for the latest good one of the work dir; if there is none yet, training starts as without resuming, from
            ``load_from`` if that is set. None leaves it to the config.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not as :func:`check_training_state` wants it, or the weights of all
            that the work dir has are not finite.
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
    """The newest good checkpoint of a training: complete, undamaged, with weights that are finite.

    That is what ``last_checkpoint`` names; if it is none, the ``epoch_*.pth`` or
    ``iter_*.pth`` with the highest number that is good, in the work dir or next to the named
    one. A warning names what was skipped and why.

    In a copy of a work dir ``last_checkpoint`` still names the file of the old one: then the copy's
    own files count alone.

    Raises:
        ValueError: If there are complete ones, and the weights of all are not finite.
    """
    work_dir = Path(work_dir)
    pointer = work_dir / 'last_checkpoint'
    named = pointer.read_text().strip() if pointer.is_file() else ''
    if '://' in named:
        return named
    folders = {work_dir, Path(named).parent} if named else {work_dir}
    if named and _is_of_another_run(Path(named), work_dir):
        named, folders = str(work_dir / Path(named).name), {work_dir}
    diverged = False
    for path in _candidates(Path(named) if named else None, folders):
        problem = _problem(path)
        if problem is None and (problem := _not_finite_weights(path)):
            diverged = True
        if problem is None:
            return str(path)
        _log(f'Skipping the checkpoint {path}: {problem}', logging.WARNING)
    if diverged:
        raise ValueError(
            f'no checkpoint in {work_dir} has weights that are finite: the training had diverged '
            'before the first of them. Start anew, in another work dir, with a lower learning rate'
        )
    return None


def _is_of_another_run(named: Path, work_dir: Path) -> bool:
    """Whether ``last_checkpoint`` of a work dir names a file of the folder that it was copied from."""
    if named.parent.resolve() == work_dir.resolve():
        return False
    return (work_dir / named.name).is_file() or (named.parent / 'last_checkpoint').is_file()


def _candidates(named: Path | None, folders: set[Path]) -> list[Path]:
    """The named checkpoint, then the others, the highest number first."""
    files = [path for folder in folders for path in folder.glob('*.pth')]
    numbers = {path: match for path in files if (match := CHECKPOINT.fullmatch(path.name))}
    # Of equal numbers, the file that was written last.
    others = sorted(
        numbers,
        key=lambda path: (int(numbers[path].group(1)), path.stat().st_mtime),
        reverse=True,
    )
    return [*([named] if named else []), *(path for path in others if path != named)]


def check_training_state(path: str) -> None:
    """Makes sure that a training can be resumed from a file; URLs are not looked at.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is incomplete or damaged, lacks the state of a training, or holds
            weights that are not finite.
    """
    if '://' in path or Path(path).is_dir():
        return
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no checkpoint {path!r} to resume from')
    problem = _problem(Path(path))
    if problem is None:
        lacking = [repr(key) for key in TRAINING_STATE if key not in _top_level(path)]
        problem = f'it lacks {", ".join(lacking)}' if lacking else None
    if problem is None and (problem := _not_finite_weights(Path(path))):
        raise ValueError(f'no training can be resumed from {path!r}: {problem}. {DIVERGED}')
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
    """Why a file is no whole checkpoint: ``torch.save`` writes zip archives, their index last."""
    if path.is_dir():
        return None  # DeepSpeed's, which has no such index
    if not path.is_file():
        return 'there is no such file'
    try:
        with zipfile.ZipFile(path) as archive:
            complete = any(name.endswith('/data.pkl') for name in archive.namelist())
    except zipfile.BadZipFile:
        complete = False
    return damage(path) if complete else 'it is incomplete, or not a file of torch.save'


def _not_finite_weights(path: Path) -> str | None:
    """What is not finite in weights and optimizer of a whole checkpoint; None if all is.

    None, too, for files that hold more than data, which the loader will refuse.
    """
    if path.is_dir():
        return None
    content = read_state(path, 'cpu')
    parts = {key: content.get(key) for key in WEIGHTS} if isinstance(content, dict) else {}
    names = not_finite(dict(named_tensors(parts)))
    return f'it is not finite in {listed(names)}' if names else None


def _top_level(path: str) -> tuple[str, ...]:
    """The keys of a checkpoint; those of a training if it cannot be read as data."""
    content = read_state(path, 'meta')
    if content is None:
        return TRAINING_STATE
    return tuple(content) if isinstance(content, dict) else ()


def read_state(path: str | Path, device: str) -> Any:
    """Reads a whole file of ``torch.save``, its weights mapped into memory, not copied.

    Args:
        path: Of the file.
        device: ``'cpu'``, or ``'meta'`` for no values.

    Returns:
        The content; None if it is more than data, which could run code.
    """
    trust_mmengine_checkpoints()
    try:
        return torch.load(path, map_location=device, mmap=True, weights_only=True)
    except pickle.UnpicklingError:
        return None


def _log(message: str, level: int = logging.INFO) -> None:
    print_log(message, logger='current', level=level)
