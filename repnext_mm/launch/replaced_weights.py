"""Pretrained weights that a run need not have, because a checkpoint brings all of them."""

from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader

from repnext_mm.config_dicts import TEACHERS
from repnext_mm.networks.layouts import unwrap


def drop_replaced_weights(cfg: Config) -> None:
    """Takes pretrained weights out of a config whose ``load_from`` replaces every one of them.

    mmengine loads them all the same before the checkpoint, and ends if the file is missing.

    - A resumed training has all weights in its checkpoint.
    - Another ``load_from`` is looked into only where the pretrained file is missing: it must have
      entries for that part of the model.

    Args:
        cfg: A config, which is changed: such an ``init_cfg`` becomes None.
    """
    source = cfg.get('load_from')
    if not source:
        return
    resumed = bool(cfg.get('resume'))
    names: list[str] | None = None
    for path, part in _pretrained_parts(cfg.get('model')):
        file = part['init_cfg']['checkpoint']
        if not resumed:
            if '://' in file or Path(file).expanduser().is_file():
                continue
            names = _names(source) if names is None else names
            if not any(name.startswith(f'{path}.' if path else '') for name in names):
                continue
        part['init_cfg'] = None
        print_log(f'{file} is not needed: {source} brings these weights', logger='current')


def _pretrained_parts(cfg: object, path: str = '') -> Iterator[tuple[str, dict]]:
    """The parts of a model with ``init_cfg=dict(type='Pretrained', ...)``, by their names in it."""
    if not isinstance(cfg, dict):
        return
    init = cfg.get('init_cfg')
    if isinstance(init, dict) and init.get('type') == 'Pretrained':
        if isinstance(init.get('checkpoint'), str):
            yield path, cfg
    for key, value in cfg.items():
        if key not in TEACHERS:
            yield from _pretrained_parts(value, f'{path}.{key}' if path else key)


def _names(source: str) -> list[str]:
    """Names of the weights in a checkpoint."""
    return list(unwrap(CheckpointLoader.load_checkpoint(source, map_location='cpu')))
