"""Configs as nested dicts: the types and files that they name."""

from collections.abc import Collection, Iterable, Iterator

TEACHERS = ('teacher', 'teacher_config')
"""Arguments that configure the teacher of a student; it is no part of the student."""

WEIGHTS_FOLDER = 'REPNEXT_PRETRAINED'
"""Environment variable: the folder with checkpoints of RepNeXt, and of timm where it has some."""


def type_name(cfg: dict) -> str:
    """Tells the class that a config dict names, as ``type='mmdet.FPN'`` or ``type=FPN``.

    Returns:
        The name without scope; empty if the dict names none.
    """
    kind = cfg.get('type', '')
    return kind.split('.')[-1] if isinstance(kind, str) else getattr(kind, '__name__', '')


def replace_types(cfg: object, old: Collection[str], new: str) -> int:
    """Renames types anywhere in a config, which is changed.

    Args:
        cfg: A config or a part of one.
        old: Names of classes without scope.
        new: Value of ``type`` in their place.

    Returns:
        How often one of the old types was there.
    """
    inner: Iterable[object] = ()
    if isinstance(cfg, dict | list | tuple):
        inner = cfg.values() if isinstance(cfg, dict) else cfg
    found = sum(replace_types(item, old, new) for item in inner)
    if isinstance(cfg, dict) and 'type' in cfg and type_name(cfg) in old:
        cfg['type'] = new
        found += 1
    return found


def pretrained_files(cfg: object) -> Iterator[str]:
    """Lists the checkpoints that ``init_cfg=dict(type='Pretrained', ...)`` names in a config.

    A student's teacher has its own (:func:`teacher_files`), which do not count.

    Args:
        cfg: A config or a part of one; it is searched to any depth.

    Yields:
        Paths and URLs.
    """
    if isinstance(cfg, dict):
        if cfg.get('type') == 'Pretrained' and isinstance(cfg.get('checkpoint'), str):
            yield cfg['checkpoint']
        cfg = [value for key, value in cfg.items() if key != 'teacher_config']
    if isinstance(cfg, list | tuple):
        for inner in cfg:
            yield from pretrained_files(inner)


def teacher_files(cfg: dict) -> dict[str, str]:
    """The files that a student of features needs in training, by the keys of its config.

    Args:
        cfg: The config of a model.

    Returns:
        The paths of ``teacher_config`` and ``teacher_ckpt``; URLs, and configs that are no files,
        are left out.
    """
    named = {key: cfg.get(key) for key in ('teacher_config', 'teacher_ckpt')}
    return {k: v for k, v in named.items() if isinstance(v, str) and '://' not in v}
