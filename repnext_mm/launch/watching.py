"""Options of a training about its validation and its record: early end, best checkpoint, trackers."""

import argparse
import os
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict

from repnext_mm.checks.metric_keys import FIRST_KEY, expected_keys
from repnext_mm.compat import require_extra
from repnext_mm.config_dicts import type_name
from repnext_mm.visualization.curves import main_metrics

PRECISION = 'mAP'
LEAST_GAIN = {True: 0.001, False: 0.1}
"""What counts as better: for COCO's AP, which is between 0 and 1, and for what is in percent."""

OF_MASKS = 'segm'
LESS_IS_BETTER = ('loss', 'error')
"""What the names of such metrics contain."""


class Tracker(NamedTuple):
    """A service or a program that shows curves of trainings."""

    package: str
    """Import name, which is that of an extra of this package too."""

    backend: str
    """The ``type`` in ``vis_backends``."""

    registered_by: str | None = None
    """The module that registers the backend, if that is not mmengine."""

    def config(self, project: str) -> dict[str, Any]:
        """The entry of ``vis_backends``.

        Args:
            project: The name under which the service lists trainings.
        """
        options: dict[str, Any] = {}
        if self.package in WITH_PROJECTS:
            options = dict(init_kwargs=dict(project=project))
        elif self.package == 'mlflow' and MLFLOW_SERVER in os.environ:
            options = dict(tracking_uri=os.environ[MLFLOW_SERVER], exp_name=project)
        return dict(type=self.backend, **options)


WITH_PROJECTS = ('wandb', 'swanlab')
MLFLOW_SERVER = 'MLFLOW_TRACKING_URI'
"""MLflow's environment variable for its server; mmengine writes files without one."""

MLFLOW_FILES = 'MLFLOW_ALLOW_FILE_STORE'
"""MLflow's environment variable without which its versions of 2026 write no files."""

TRACKERS = dict(
    tensorboard=Tracker('tensorboard', 'TensorboardVisBackend'),
    wandb=Tracker('wandb', 'WandbVisBackend'),
    mlflow=Tracker('mlflow', 'MLflowVisBackend'),
    swanlab=Tracker('swanlab', 'SwanlabVisBackend', 'swanlab.integration.mmengine'),
)


def add_watching_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--save-best``, ``--early-stop`` and ``--track`` to the parser of a training."""
    parser.add_argument(
        '--save-best',
        nargs='?',
        const=FIRST_KEY,
        metavar='METRIC',
        help='also keep the checkpoint that is best by this metric of validation, or by the main one '
        'of the task',
    )
    parser.add_argument(
        '--early-stop',
        type=int,
        metavar='PATIENCE',
        help='end the training when that many validations in a row were no better than the best by '
        'the metric of --save-best or the main one of the task',
    )
    parser.add_argument(
        '--track',
        nargs='+',
        choices=TRACKERS,
        default=[],
        help='write curves and config for these programs or services too',
    )


def use_watching_options(cfg: Config, args: argparse.Namespace) -> None:
    """Writes the options of :func:`add_watching_options` into a config.

    Args:
        cfg: A config, which is changed.
        args: From a parser with these options.

    Raises:
        ValueError: If the patience is no positive number, or there is no validation, or its main
            metric is not known and none is named.
        ImportError: If the package of a tracker is not installed.
    """
    if args.save_best:
        key = main_metric(cfg) if args.save_best == FIRST_KEY else args.save_best
        _checkpoint(cfg).update(save_best=key, rule=_rule(key))
    if args.early_stop is not None:
        if args.early_stop < 1:
            raise ValueError(f'--early-stop is 1 or more validations, got {args.early_stop}')
        key = _kept_by(cfg) or main_metric(cfg)
        hook = dict(
            type='EarlyStoppingHook',
            monitor=key,
            patience=args.early_stop,
            min_delta=LEAST_GAIN[PRECISION in key],
            strict=True,
            rule=_rule(key),
        )
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]
    for name in dict.fromkeys(args.track):
        _track(cfg, TRACKERS[name], name)


def main_metric(cfg: Config) -> str:
    """The metric of validation that a task is judged by: of masks rather than of boxes.

    Raises:
        ValueError: If there is no validation, or its metrics are not known.
    """
    evaluator = cfg.get('val_evaluator')
    if not evaluator:
        raise ValueError(
            '--save-best and --early-stop need a validation: set val_dataloader, val_cfg and '
            'val_evaluator in the config'
        )
    main = main_metrics(expected_keys(evaluator) or [])
    if not main:
        raise ValueError(
            f'the metrics of {type_name(evaluator) or evaluator!r} are not known here: name one with '
            '--save-best METRIC'
        )
    return next((name for name in main if OF_MASKS in name), main[0])


def _rule(key: str) -> str:
    """Whether more or less of a metric is better."""
    return 'less' if any(word in key.lower() for word in LESS_IS_BETTER) else 'greater'


def _checkpoint(cfg: Config) -> ConfigDict:
    """The config's entry for its checkpoints, which is made if there is none."""
    hooks = cfg.setdefault('default_hooks', ConfigDict())
    if not hooks.get('checkpoint'):
        hooks.checkpoint = ConfigDict(type='repnext_mm.SafeCheckpointHook', interval=1)
    return hooks.checkpoint


def _kept_by(cfg: Config) -> str | None:
    """The metric by which the best checkpoint is kept, if it is one by name."""
    key = (dict(cfg.get('default_hooks') or {}).get('checkpoint') or {}).get('save_best')
    return key if isinstance(key, str) and key != FIRST_KEY else None


def _track(cfg: Config, tracker: Tracker, name: str) -> None:
    """Adds the backend of a tracker to those of the config's visualizer."""
    require_extra(tracker.package, name, f'--track {name}')
    if tracker.package == 'mlflow':
        os.environ.setdefault(MLFLOW_FILES, 'true')
    if tracker.registered_by:
        imports = cfg.setdefault('custom_imports', ConfigDict(imports=[]))
        imports.imports = [*imports.imports, tracker.registered_by]
        require_extra(tracker.registered_by, name, f'--track {name}')
    visualizer = cfg.setdefault('visualizer', ConfigDict(type='Visualizer'))
    backends = list(visualizer.get('vis_backends') or [dict(type='LocalVisBackend')])
    if tracker.backend not in map(type_name, backends):
        backends.append(tracker.config(Path(cfg.work_dir).name))
    visualizer.vis_backends = backends
