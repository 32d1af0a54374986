"""Configs as nested dicts: the types and the files that they name."""

from collections.abc import Collection, Iterator
from typing import Any


def type_name(cfg: dict) -> str:
    """The class that a config dict names, as ``type='mmdet.FPN'`` or ``type=FPN``, without scope."""
    kind = cfg.get('type', '')
    return kind.split('.')[-1] if isinstance(kind, str) else getattr(kind, '__name__', '')


def replace_types(cfg: Any, old: Collection[str], new: str) -> int:
    """Renames types anywhere in a config, and tells how often they were there."""
    inner = cfg.values() if isinstance(cfg, dict) else cfg if isinstance(cfg, list | tuple) else ()
    found = sum(replace_types(item, old, new) for item in inner)
    if isinstance(cfg, dict) and 'type' in cfg and type_name(cfg) in old:
        cfg['type'] = new
        found += 1
    return found


def pretrained_files(cfg: Any) -> Iterator[str]:
    """The checkpoints that ``init_cfg=dict(type='Pretrained', ...)`` names anywhere in a config."""
    if isinstance(cfg, dict):
        if cfg.get('type') == 'Pretrained' and isinstance(cfg.get('checkpoint'), str):
            yield cfg['checkpoint']
        cfg = list(cfg.values())
    if isinstance(cfg, list | tuple):
        for inner in cfg:
            yield from pretrained_files(inner)
