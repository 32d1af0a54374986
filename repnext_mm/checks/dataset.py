"""Datasets of a config without what wraps them, built without reading their data."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from repnext_mm.config_dicts import type_name

COCO, LABEL_MAPS, FOLDERS = 'coco', 'label maps', 'folders'
KNOWN_DATASETS = {
    'CocoDataset': ('mmdet', COCO, ('load_data_list', 'parse_data_info', 'filter_data')),
    'BaseSegDataset': ('mmseg', LABEL_MAPS, ('load_data_list',)),
    'CustomDataset': ('mmpretrain', FOLDERS, ('load_data_list', '_find_samples')),
}
"""Classes whose way to read data is known: package, kind of data, and the methods that do it.

A class that inherits from one and changes such a method reads something else.
"""


@dataclass(frozen=True)
class LeafDataset:
    """A dataset of the config that reads files itself."""

    split: str
    """``'train'``, ``'val'`` or ``'test'``."""

    key: str
    """Where it stands in the config, such as ``'train_dataloader.dataset.datasets[0]'``."""

    settings: dict
    """Its config."""

    kind: str | None = None
    """``'coco'``, ``'label maps'``, ``'folders'``; None for data that is not known or not local."""

    dataset: BaseDataset | None = None
    """Built with ``lazy_init``, so without data and transforms; None as ``kind``."""

    trouble: str = ''
    """Why it could not be built; empty if it could."""

    default_classes: Any = None
    """Those of its class, which count where the config names none."""

    @cached_property
    def given_classes(self) -> Any:
        """What stands for the classes, whatever type it has; None if nothing does."""
        if self.dataset is not None:
            return self.dataset.metainfo.get('classes')
        metainfo = self.settings.get('metainfo') or {}
        return metainfo.get('classes', self.default_classes)

    @cached_property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes; None if they are unknown or no names."""
        given = self.given_classes
        valid = isinstance(given, list | tuple) and all(isinstance(name, str) for name in given)
        return tuple(given) if valid and given else None

    @property
    def trained(self) -> bool:
        return self.split == 'train'

    def steps(self) -> list[dict]:
        """All transforms of its pipeline, those within others too."""
        return list(_flat(self.settings.get('pipeline') or []))

    def folder(self, name: str) -> str:
        """A folder of images by its key in ``data_prefix``; empty if there is none."""
        assert self.dataset is not None
        return self.dataset.data_prefix.get(name) or ''


def leaves_of(cfg: Config, splits: Iterable[str]) -> list[LeafDataset]:
    """The datasets of these splits, without repeaters, concatenations and the like.

    Args:
        cfg: A config.
        splits: Of ``'train'``, ``'val'`` and ``'test'``; those that it lacks are left out.
    """
    leaves = []
    for split in splits:
        loaders = cfg.get(f'{split}_dataloader') or []
        several = isinstance(loaders, list | tuple)
        for number, loader in enumerate(loaders if several else [loaders]):
            key = f'{split}_dataloader' + (f'[{number}]' if several else '')
            dataset = loader.get('dataset') or {}
            for name, settings in _unwrapped(dataset, f'{key}.dataset'):
                leaves.append(_read_leaf(split, name, settings, cfg.get('default_scope')))
    return leaves


def _unwrapped(settings: Any, key: str) -> Iterator[tuple[str, dict]]:
    if isinstance(settings, list | tuple):
        for number, inner in enumerate(settings):
            yield from _unwrapped(inner, f'{key}[{number}]')
    elif isinstance(settings, dict) and settings:
        wrapped = [name for name in ('dataset', 'datasets') if settings.get(name)]
        for name in wrapped:
            yield from _unwrapped(settings[name], f'{key}.{name}')
        if not wrapped:
            yield key, settings


def _read_leaf(split: str, key: str, settings: dict, scope: str | None) -> LeafDataset:
    kind = settings.get('type')
    with DATASETS.switch_scope_and_registry(scope) as registry:
        cls: Any = registry.get(kind) if isinstance(kind, str) else kind
    defaults = (getattr(cls, 'METAINFO', None) or {}).get('classes')
    data = known_data(cls) if isinstance(cls, type) else None
    if data is None or not is_local(settings):
        return LeafDataset(split, key, settings, default_classes=defaults)
    arguments = {name: value for name, value in settings.items() if name != 'type'}
    arguments |= dict(pipeline=[], lazy_init=True)
    try:
        dataset = cls(**arguments)
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        return LeafDataset(
            split, key, settings, data, None, f'{type(error).__name__}: {error}', defaults
        )
    return LeafDataset(split, key, settings, data, dataset, default_classes=defaults)


def is_local(settings: dict) -> bool:
    """Whether the files of a dataset are on disks of this machine."""
    backend = (settings.get('backend_args') or {}).get('backend', 'local')
    prefix = settings.get('data_prefix') or {}
    folders = prefix.values() if isinstance(prefix, dict) else [prefix]
    places = [settings.get('data_root'), settings.get('ann_file'), *folders]
    return backend == 'local' and not any('://' in str(place) for place in places)


def known_data(cls: type) -> str | None:
    """The kind of data that a class of datasets reads, if it reads as one that is known."""
    for base in cls.__mro__:
        package, kind, methods = KNOWN_DATASETS.get(base.__name__, ('', '', ()))
        if package and base.__module__.startswith(f'{package}.'):
            same = all(getattr(cls, name) is getattr(base, name) for name in methods)
            return kind if same else None
    return None


def _flat(steps: Iterable) -> Iterator[dict]:
    for step in steps:
        if isinstance(step, dict):
            yield step
            step = step.get('transforms') or []
        if isinstance(step, list | tuple):
            yield from _flat(step)


def loads_masks(leaf: LeafDataset) -> bool:
    """Whether the pipeline of a detector's dataset loads a mask of each object."""
    loaders = [step for step in leaf.steps() if type_name(step) == 'LoadAnnotations']
    return any(step.get('with_mask') for step in loaders)
