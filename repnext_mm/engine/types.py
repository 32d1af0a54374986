"""The types that configs name."""

from typing import Any


def type_name(cfg: dict) -> str:
    """The class that a config dict names, as ``type='mmdet.FPN'`` or ``type=FPN``, without scope."""
    kind = cfg.get('type', '')
    return kind.split('.')[-1] if isinstance(kind, str) else kind.__name__


def replace_types(cfg: Any, old: str, new: str) -> int:
    """Renames a type anywhere in a config, and tells how often it was there."""
    inner = cfg.values() if isinstance(cfg, dict) else cfg if isinstance(cfg, list | tuple) else ()
    found = sum(replace_types(item, old, new) for item in inner)
    if isinstance(cfg, dict) and cfg.get('type') == old:
        cfg['type'] = new
        found += 1
    return found
