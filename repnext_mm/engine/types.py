"""The types that configs name."""

from collections.abc import Collection
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
