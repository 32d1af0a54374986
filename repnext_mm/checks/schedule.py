"""Schedules of the learning rate that end before the training does."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from repnext_mm.checks.findings import Finding
from repnext_mm.config_dicts import type_name
from repnext_mm.training.resume import read_state

SCHEDULE = 'schedule'
NEW_SCHEDULE = 'ConfigScheduleHook'
UNLIMITED = 10**8
"""Steps that no training has; mmengine's INF for the end of a schedule is more."""

FALL_TO_NOTHING = ('PolyLR', 'CosineAnnealingLR', 'LinearLR')
SET_BY_CONFIG = (
    'begin',
    'end',
    'eta_min',
    'eta_min_ratio',
    'power',
    'T_max',
    'gamma',
    'milestones',
)
"""What the state of a schedule has of its config, among much that it has not."""


def check_schedule(cfg: Config) -> Iterator[Finding]:
    """Finds trainings that go on after their learning rate has become 0, new and resumed ones.

    Args:
        cfg: A config; where it resumes from a file, that file is read.
    """
    limit, by_epoch = _length(cfg.get('train_cfg') or {})
    if limit is None:
        return
    yield from _ended_in_config(cfg, limit, by_epoch)
    source = cfg.get('load_from')
    replaced = any(type_name(hook) == NEW_SCHEDULE for hook in cfg.get('custom_hooks') or ())
    if cfg.get('resume') and isinstance(source, str) and '://' not in source and not replaced:
        yield from _resumed(read_state(source, 'meta'), cfg, source, limit, by_epoch)


def _length(train_cfg: Mapping) -> tuple[int | None, bool]:
    """How long a config trains, and whether that counts epochs."""
    by_epoch = 'max_epochs' in train_cfg
    return train_cfg.get('max_epochs' if by_epoch else 'max_iters'), by_epoch


def _schedules(cfg: Config) -> list[dict]:
    """The schedules of the learning rate; none where each optimizer has its own."""
    found = cfg.get('param_scheduler') or []
    found = [found] if isinstance(found, Mapping) and 'type' in found else found
    return [part for part in found if isinstance(part, dict) and 'Momentum' not in type_name(part)]


def _ended_in_config(cfg: Config, limit: int, by_epoch: bool) -> Iterator[Finding]:
    """A config whose last schedule leaves 0 behind, long before the end."""
    parts = _schedules(cfg)
    ends = [part.get('end', math.inf) for part in parts]
    if not parts or any(part.get('by_epoch', True) != by_epoch for part in parts):
        return
    last = parts[ends.index(max(ends))]
    if type_name(last) in FALL_TO_NOTHING and max(ends) < limit and _final_rate(last) == 0:
        unit = 'epoch' if by_epoch else 'iteration'
        yield Finding(
            'warning',
            SCHEDULE,
            'param_scheduler',
            f'the schedule {type_name(last)} brings the learning rate to 0 at {unit} {max(ends)}, '
            f'and training goes on to {unit} {limit}',
            f'Set its end={limit}, or an eta_min above 0',
        )


def _final_rate(schedule: Mapping) -> float:
    """Factor or learning rate that a schedule ends with."""
    if type_name(dict(schedule)) == 'LinearLR':
        return schedule.get('end_factor', 1.0)
    return schedule.get('eta_min') or schedule.get('eta_min_ratio') or 0.0


def _resumed(state: Any, cfg: Config, source: str, limit: int, by_epoch: bool) -> Iterator[Finding]:
    """A checkpoint whose schedules have ended, or are not those of the config."""
    schedules = state.get('param_schedulers') if isinstance(state, Mapping) else None
    if not isinstance(schedules, list) or not schedules:
        return
    reached = (state.get('meta') or {}).get('epoch' if by_epoch else 'iter', 0)
    unit = 'epoch' if by_epoch else 'iteration'
    remedy = (
        "--new-schedule, the hook repnext_mm.ConfigScheduleHook, goes on with the config's; to begin "
        f'that from its start, set load_from={source!r} without --resume, in another --work-dir'
    )
    rates = _rates(state.get('optimizer'))
    if reached < limit and rates and max(rates) == 0 and all(map(_has_ended, schedules)):
        yield Finding(
            'warning',
            SCHEDULE,
            source,
            'the checkpoint brings its schedule with it, which has ended: the learning rate is 0 '
            f'from {unit} {reached + 1} to {limit}, and nothing more will be learned',
            remedy,
        )
    elif changes := list(_changes(schedules, _schedules(cfg))):
        yield Finding(
            'warning',
            SCHEDULE,
            source,
            'the checkpoint brings its schedule with it, and the one of the config is not used: '
            + '; '.join(changes),
            remedy,
        )


def _has_ended(schedule: Mapping) -> bool:
    """Whether a schedule will change nothing any more."""
    step, end = schedule.get('_global_step', -1), schedule.get('end', math.inf)
    return step + 1 >= end if end < UNLIMITED else False


def _rates(optimizer: Any) -> list[float]:
    """The learning rates of an optimizer's state, or of several optimizers'."""
    if not isinstance(optimizer, Mapping):
        return []
    if 'param_groups' in optimizer:
        return [group.get('lr', math.nan) for group in optimizer['param_groups']]
    return [rate for inner in optimizer.values() for rate in _rates(inner)]


def _changes(schedules: list[Mapping], configured: list[dict]) -> Iterator[str]:
    """Differences between the schedules of a checkpoint and of a config."""
    if len(schedules) != len(configured):
        yield f'{len(schedules)} schedules, not {len(configured)}'
        return
    for number, (saved, wanted) in enumerate(zip(schedules, configured, strict=True)):
        if saved.get('by_epoch') != wanted.get('by_epoch', True):
            continue  # of other units: epochs that mmengine has made iterations
        for key in SET_BY_CONFIG:
            if key in wanted and key in saved and _plain(saved[key]) != _plain(wanted[key]):
                yield (
                    f'param_scheduler[{number}].{key} is {_plain(saved[key])!r} in the checkpoint, '
                    f'{_plain(wanted[key])!r} in the config'
                )


def _plain(value: Any) -> Any:
    """Milestones, which a checkpoint has as a counter, as a list."""
    if isinstance(value, Mapping):
        return sorted(value)
    return sorted(value) if isinstance(value, list | tuple) else value
