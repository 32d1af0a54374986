"""The config of a pruned network: what differs from that of the network that was pruned."""

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from repnext_mm.config_dicts import type_name
from repnext_mm.launch.forms import HOOK, choose_form
from repnext_mm.networks import RepNeXt
from repnext_mm.pruning.targets import arch_of, is_plain
from repnext_mm.reparam import TRAINING

FEATURE_READERS = ('head', 'decode_head', 'auxiliary_head')
"""Parts of a model that read the backbone's features, if there is no neck that does."""

LOAD_FROM = """# The checkpoint beside this file, whatever their folder is called.
load_from = str(
    __import__('pathlib')
    .Path(__import__('inspect').currentframe().f_code.co_filename)
    .with_name({!r})
)
"""
"""The end of a pruned network's config."""

Changes = dict[str, Any]
"""Values by their paths in a config, such as ``'model.backbone.arch'``."""


def config_changes(cfg: Config, backbone: RepNeXt) -> Changes:
    """What must change in a config so that it builds a pruned network.

    Args:
        cfg: Config of the network before pruning, in the form in which it was pruned.
        backbone: Its backbone after pruning.
    """
    arch = arch_of(backbone)
    changes: Changes = {
        'model.backbone.arch': dict(arch, _delete_=True),
        'model.backbone.out_indices': list(backbone.out_indices),
        'model.backbone.init_cfg': None,
    }
    if is_plain(backbone):
        changes['model.backbone.finetune_deployed'] = True
        if any(type_name(hook) == HOOK for hook in cfg.get('custom_hooks') or []):
            evaluated = copy.deepcopy(cfg)
            choose_form(evaluated)
            changes['custom_hooks'] = [dict(hook) for hook in evaluated.custom_hooks]
    widths = [arch['channels'][index] for index in backbone.out_indices]
    if widths != [backbone.channels[index] for index in backbone.out_indices]:
        changes |= _reader_changes(cfg.model, widths)
    return changes


def deploy_changes(parts: Sequence[str], form: str) -> Changes:
    """What makes a config build its form-aware parts in a form.

    Args:
        parts: Their paths in the config.
        form: The form in which the network was pruned.
    """
    return {} if form == TRAINING else {f'{path}.deploy': form for path in parts}


def changed(cfg: Config, changes: Changes) -> Config:
    """A copy of a config with changes."""
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict(copy.deepcopy(changes))
    return cfg


def config_text(path: Path, base: Path, changes: Changes, checkpoint: str) -> str:
    """The content of a config file that inherits from another one.

    Args:
        path: Where the file will lie.
        base: The config that it inherits from.
        changes: What differs.
        checkpoint: Name of the checkpoint, which lies beside the file.

    Raises:
        ValueError: If a path of the changes leads into a list.
    """
    content: dict[str, Any] = dict(_base_=_relative(base, path.parent))
    for key, value in changes.items():
        inner = content
        *parents, name = key.split('.')
        if any(part.isdigit() for part in (*parents, name)):
            raise ValueError(
                f'the option {key!r} changes an element of a list, which a config that inherits '
                'cannot: write it into a config file, and prune with that'
            )
        for part in parents:
            inner = inner.setdefault(part, {})
        inner[name] = value
    return Config(content).pretty_text + LOAD_FROM.format(checkpoint)


def with_options(options: Mapping[str, Any], changes: Changes) -> Changes:
    """Changes, and beneath them the options with which the config was read."""
    kept = {
        key: value
        for key, value in options.items()
        if not any(key == path or key.startswith(f'{path}.') for path in changes)
    }
    return kept | changes


def _reader_changes(model: Mapping[str, Any], widths: list[int]) -> Changes:
    """New ``in_channels`` of the neck; of the heads, if there is none that has such."""
    if 'in_channels' in (model.get('neck') or {}):
        return {'model.neck.in_channels': _in_channels(model['neck'], widths)}
    changes: Changes = {}
    for name in FEATURE_READERS:
        part = model.get(name)
        if isinstance(part, list | tuple):
            changes[f'model.{name}'] = [
                dict(one, in_channels=_in_channels(one, widths)) for one in part
            ]
        elif part:
            changes[f'model.{name}.in_channels'] = _in_channels(part, widths)
    return changes


def _in_channels(part: Mapping[str, Any], widths: list[int]) -> int | list[int]:
    """What a part reads of features of these widths."""
    index = part.get('in_index', -1)
    if isinstance(part.get('in_channels'), list | tuple):
        return [widths[i] for i in index] if isinstance(index, list | tuple) else widths
    return widths[index]


def _relative(path: Path, folder: Path) -> str:
    """A path as seen from a folder."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
