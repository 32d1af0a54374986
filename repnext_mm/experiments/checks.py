"""Looks at all rows before the first one is trained: data, weights, heads, and the model itself."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from repnext_mm.checks.heads import class_counts
from repnext_mm.checks.presence import check_data, check_pretrained
from repnext_mm.evaluation.benchmark.networks import Networks, Source
from repnext_mm.evaluation.complexity import Complexity, complexity_of
from repnext_mm.experiments.specification import Experiment, ExperimentRow
from repnext_mm.export.data import classes_and_palette, dataset_meta_of, innermost_dataset
from repnext_mm.files import to_plain
from repnext_mm.launch.command_line import config_of

TRAINED_PARTS = ('model', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'train_dataloader')
"""Parts of a config that decide what training gives."""

PLACES = ('data_root', 'ann_file', 'data_prefix', 'checkpoint')
"""Keys that say where files are, which may move."""


class CheckedRow(NamedTuple):
    """A row that can be trained."""

    row: ExperimentRow
    cfg: Config
    sizes: Mapping[str, Complexity]
    """By the forms of the experiment that the network has."""

    fingerprint: str
    """Changes with everything that decides what training gives."""

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms to test."""
        return tuple(self.sizes)


def check_rows(experiment: Experiment, rows: list[ExperimentRow]) -> dict[str, CheckedRow]:
    """Makes sure that rows can be trained and tested, and counts their parameters and arithmetic.

    Args:
        experiment: The experiment.
        rows: Some of its rows; those without a config are left out.

    Raises:
        FileNotFoundError: If data or pretrained weights are missing.
        ImportError: If a package is missing that a config needs.
        ValueError: If a head does not fit the classes of the data, or the model cannot be built.
            All messages name the row.
    """
    checked = {}
    for row in rows:
        if row.config is None:
            continue
        try:
            cfg = config_of(row.config, dict(row.options), backbone=row.backbone)
            check_data(cfg, 'train', 'val', 'test')
            check_pretrained(cfg)
            check_heads(cfg)
            sizes = _sizes(row.name, cfg, experiment)
        except (FileNotFoundError, ImportError, ValueError, TypeError, KeyError) as error:
            raise type(error)(f'row {row.name!r} ({row.config}): {error}') from error
        checked[row.name] = CheckedRow(row, cfg, sizes, fingerprint_of(cfg))
    return checked


def _sizes(name: str, cfg: Config, experiment: Experiment) -> dict[str, Complexity]:
    """Parameters and arithmetic of the forms that the row's network has."""
    networks = Networks({name: Source(cfg)})
    return {
        form: complexity_of(networks.model(name, form), experiment.shape)
        for form in networks.forms(name)
        if form in experiment.forms
    }


def check_heads(cfg: Config) -> None:
    """Makes sure that the heads predict as many classes as the test data has.

    Raises:
        ValueError: If one does not; the message names its key and the classes.
    """
    classes = classes_of(cfg)
    for key, count in class_counts(cfg.model, 'model'):
        if classes is not None and count != len(classes):
            raise ValueError(
                f'{key}={count}, but the test data has {len(classes)} classes '
                f'({", ".join(classes[:3])}{", ..." if len(classes) > 3 else ""}): set '
                f'{key}={len(classes)}, or name another data set'
            )


def classes_of(cfg: Config) -> tuple[str, ...] | None:
    """The classes of the test data; None where they are not known before it is read."""
    classes, _ = classes_and_palette(dataset_meta_of(cfg))
    dataset = innermost_dataset(cfg)
    if classes is None and dataset.get('type') == 'CustomDataset' and not dataset.get('ann_file'):
        # mmpretrain takes the names of folders.
        folder = Path(dataset.get('data_root') or '', dataset.get('data_prefix') or '')
        classes = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))
    return classes


def fingerprint_of(cfg: Config) -> str:
    """A hash of everything in a config that decides what training gives, wherever the data lies."""
    parts = _without_places({name: cfg.get(name) for name in TRAINED_PARTS})
    text = json.dumps(parts, sort_keys=True, default=to_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_places(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {key: _without_places(value) for key, value in part.items() if key not in PLACES}
    if isinstance(part, list | tuple):
        return [_without_places(value) for value in part]
    return part
