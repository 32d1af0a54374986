"""Command lines of the tools: shared options, and from config and options to a Runner."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import RUNNERS, init_default_scope
from mmengine.runner import Runner

from repnext_mm.border import ToolParser
from repnext_mm.compat import forbid_code_in_checkpoints, read_config, require, require_extra
from repnext_mm.config_dicts import type_name
from repnext_mm.configs import with_backbone
from repnext_mm.deprecation import warn_of_old_name
from repnext_mm.files import write_text
from repnext_mm.launch.allocator import keep_memory
from repnext_mm.launch.device import adapt_to_device, use_mixed_precision
from repnext_mm.launch.options import ConfigOptions
from repnext_mm.launch.processes import (
    end_children_with_this,
    is_first_process,
    limit_threads,
)
from repnext_mm.launch.screen import add_verbose_option, use_screen
from repnext_mm.launch.summary import SummaryHook
from repnext_mm.own_data import SLOT, Wishes, use_own_data
from repnext_mm.places import existing_config
from repnext_mm.reparam.forms import FORMS, TRAINING
from repnext_mm.runtime.sessions import can_run_code

REASONS = 'own_data.txt'
"""In the work dir: the settings that were chosen for data of one's own, and why."""

TESTS = 'tests'
"""In the work dir of a training: what tests of its config write."""

CALLED = ('argparse', 'repnext_mm')
"""Packages between a program and the action of an option."""

TASK_PACKAGES = ('mmdet', 'mmseg', 'mmpretrain')


def build_parser(description: str | None) -> ToolParser:
    """Builds a parser with the arguments that all tools share, named as mmdet's tools name them."""
    parser = ToolParser(description=description)
    parser.add_argument(
        'config', help='config file, or the name of one of RepNeXt-MM: mask_rcnn_repnext_tiny_coco'
    )
    parser.add_argument(
        '--work-dir', help='folder for what is written; default: work_dirs/NAME_OF_CONFIG'
    )
    parser.add_argument(
        '--backbone',
        metavar='NAME',
        help='train or test another backbone in the recipe of the config: a name of '
        'docs/baselines.md, or any network of timm',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        help='override the config: key=value, lists as key="[a,b]" or key=a,b; text that has commas '
        'in quotes of its own',
    )
    parser.add_argument(
        '--release-memory',
        action='store_true',
        help='on CPU: give memory of large tensors back to the system at once, which is slower',
    )
    add_verbose_option(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    return parser


def add_checks_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option ``--skip-checks`` to a parser; :func:`load_config` writes it into the config."""
    parser.add_argument(
        '--skip-checks',
        nargs='+',
        metavar='KIND',
        help='leave out these kinds of findings in config and data, as named in brackets behind '
        'each; all: do not look at all',
    )


def add_own_data_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that fill in a template for data of one's own."""
    parser.add_argument(
        '--data',
        metavar='FOLDER',
        help='for configs/own: the data to train on; classes, sizes and schedule follow from them',
    )
    parser.add_argument(
        '--class-weights',
        action='store_true',
        help='with --data and label maps: let rare classes count more in the loss',
    )
    parser.add_argument(
        '--iterations', type=int, help='with --data: instead of the number that is suggested'
    )


def check_own_data_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Ends the program if they contradict each other."""
    if not args.data and (args.class_weights or args.iterations is not None):
        parser.error('--class-weights and --iterations need --data')
    if args.iterations is not None and args.iterations < 2:
        parser.error(f'--iterations is at least 2, got {args.iterations}')


def add_form_option(
    parser: argparse.ArgumentParser,
    help: str,
    old: str,
    forms: Sequence[str] = FORMS,
    default: str | None = None,
) -> None:
    """Adds the option ``--form`` to a parser, and its name in earlier versions, hidden.

    Args:
        parser: Any parser.
        help: Help text of ``--form``.
        old: Old name, such as ``'--mode'``. With it, ``none`` is the training form, as it was;
            giving it warns with a ``DeprecationWarning``.
        forms: Allowed values.
        default: The form without the option; None where the config decides.
    """
    options = parser.add_mutually_exclusive_group()
    options.add_argument('--form', choices=forms, default=default, help=help)
    options.add_argument(
        old,
        dest='form',
        new='--form',
        action=_OldName,
        choices=forms,
        type=lambda value: TRAINING if value == 'none' else value,
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )


def add_trust_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option ``--trust-file`` to a parser, for exported files that can run code."""
    parser.add_argument(
        '--trust-file',
        action='store_true',
        help='open a file that can run code, such as .pt2: only if you know who made it',
    )


def check_trust(
    parser: argparse.ArgumentParser, args: argparse.Namespace, files: Sequence[str]
) -> None:
    """Ends the program if one of the exported files can run code and is not trusted."""
    for file in files:
        if can_run_code(file) and not args.trust_file:
            parser.error(
                f'{file} can run code when it is opened: if you know who made it, say --trust-file; '
                'ONNX and OpenVINO files are data and need no trust'
            )


class _OldName(argparse.Action):
    """Stores the value of an option under its old name, with a warning that names the new one."""

    def __init__(self, *args, new: str, **kwargs):
        super().__init__(*args, **kwargs)
        self.new = new

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Called by argparse, at a depth that depends on the version of Python.

        The warning names the program that the user started, for Python shows it of that alone.
        """
        depth, frame = 2, sys._getframe().f_back
        while frame and frame.f_globals.get('__name__', '').split('.')[0] in CALLED:
            depth, frame = depth + 1, frame.f_back
        warn_of_old_name(f'the option {option_string}', self.new, stacklevel=depth)
        setattr(namespace, self.dest, values)


def load_config(args: argparse.Namespace) -> Config:
    """Reads the config and applies the options of the command line.

    Args:
        args: Arguments from a parser of :func:`build_parser`; a name of a shipped config becomes
            its path.

    Returns:
        The config, made ready for the device that is there.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the package of the config's scope is not installed.
        ValueError: If a config in YAML or JSON would run code, mixed precision is asked for and
            the config's optimizer wrapper has none, the backbone is unknown or does not fit the
            config, or the config is a template for data that are not named.
    """
    use_screen()
    args.config = path = existing_config(args.config)
    if not getattr(args, 'release_memory', False):
        keep_memory()
    limit_threads()
    end_children_with_this()
    cfg = read_config(path)
    name = Path(path).stem
    if getattr(args, 'backbone', None):
        cfg.merge_from_dict(with_backbone(cfg, args.backbone))
        name += f'_{args.backbone}'
    args.reasons = _fill_in_own_data(cfg, args)
    cfg.merge_from_dict(args.cfg_options or {})
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    forbid_code_in_checkpoints()
    if getattr(args, 'amp', False):
        use_mixed_precision(cfg)
    if getattr(args, 'skip_checks', None):
        checks = dict(cfg.get('checks') or {})
        cfg.checks = dict(checks, skip=[*checks.get('skip', []), *args.skip_checks])
    cfg.launcher = args.launcher
    cfg.work_dir = _work_dir(cfg, args, f'./work_dirs/{name}')
    scope = cfg.get('default_scope')
    if scope in TASK_PACKAGES:
        require(scope, f'the config {path}')
    if 'FasterCocoMetric' in map(type_name, _evaluators(cfg)):
        require_extra('faster_coco_eval', 'coco', 'FasterCocoMetric')
    adapt_to_device(cfg)
    return cfg


def write_reasons(cfg: Config, args: argparse.Namespace) -> None:
    """Writes into the work dir which settings were chosen for data of one's own, and why.

    Args:
        cfg: From :func:`load_config`.
        args: That it was given.
    """
    if args.reasons and is_first_process(args.launcher):
        write_text(Path(cfg.work_dir) / REASONS, '\n'.join([*args.reasons, '']))


def _evaluators(cfg: Config) -> list:
    """The metrics of validation and test."""
    parts = [cfg.get('val_evaluator') or [], cfg.get('test_evaluator') or []]
    return [metric for part in parts for metric in (part if isinstance(part, list) else [part])]


def _work_dir(cfg: Config, args: argparse.Namespace, default: str) -> str:
    """The folder for what is written: the option's, that of the config, or the default one.

    mmengine writes the config of each run, with all changes to it, into the work dir. So that a test
    of the config that a training left there does not overwrite it, it has a folder of its own inside.
    """
    own = cfg.get('work_dir')
    chosen = args.work_dir or own or default
    left_behind = own and Path(own).resolve() == Path(args.config).resolve().parent
    trains = hasattr(args, 'resume')
    if left_behind and not trains and Path(chosen).resolve() == Path(own).resolve():
        return str(Path(chosen) / TESTS)
    return chosen


def _fill_in_own_data(cfg: Config, args: argparse.Namespace) -> list[str]:
    """Makes a config of a template and the data of ``--data``; returns what was chosen and why."""
    if getattr(args, 'data', None):
        wishes = Wishes(bool(args.backbone), args.class_weights, args.iterations)
        return use_own_data(cfg, args.data, wishes)
    if SLOT in cfg:
        raise ValueError(
            f'{args.config} is a template: train it with --data FOLDER, which writes the config of your '
            'data into the work dir, for all other tools'
        )
    return []


def config_of(
    path: str | Path,
    options: dict[str, Any] | None = None,
    release_memory: bool = False,
    backbone: str | None = None,
) -> Config:
    """Reads a config as the tools do, for one process that only looks at it or measures.

    Args:
        path: Of the config.
        options: Changes to it by dotted keys.
        release_memory: Whether memory of large tensors goes back to the system at once.
        backbone: Name of another backbone; see :func:`repnext_mm.configs.with_backbone`.

    Raises:
        FileNotFoundError, ImportError: As :func:`load_config`.
    """
    given = dict(config=str(path), cfg_options=options, launcher='none', local_rank=0)
    given |= dict(work_dir=None, release_memory=release_memory, backbone=backbone)
    return load_config(argparse.Namespace(**given))


def build_runner(cfg: Config, summary: bool = False) -> Runner:
    """Builds the config's Runner, mmengine's unless ``runner_type`` says otherwise.

    Args:
        cfg: From :func:`load_config`.
        summary: Whether the run ends with a table of the metrics on the screen.
    """
    if 'runner_type' in cfg:
        init_default_scope(cfg.get('default_scope', 'mmengine'))
        runner = RUNNERS.build(cfg)
    else:
        runner = Runner.from_cfg(cfg)
    if summary:
        runner.register_hook(SummaryHook())
    return runner
