"""What the tools do with a config before it becomes a Runner."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS, init_default_scope
from mmengine.runner import Runner

from repnext_mm.compat import forbid_code_in_checkpoints, require
from repnext_mm.launch.device import adapt_to_device, use_mixed_precision

PACKAGES = ('mmdet', 'mmseg', 'mmpretrain')


def build_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the arguments that all tools share, named as mmdet's tools name them."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir', help='folder for what is written; default: work_dirs/NAME_OF_CONFIG'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override the config: key=value, lists as key="[a,b]" or key=a,b',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    return parser


def load_config(args: argparse.Namespace) -> Config:
    """Reads the config and applies what the command line says.

    Args:
        args: What a parser of :func:`build_parser` returned.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the package of the config's scope is not installed.
    """
    path = args.config
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'there is no config {path!r}: the configs of RepNeXt-MM are in '
            "the folder 'configs', installed as repnext_mm/.mim/configs"
        )
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(args.cfg_options or {})
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    forbid_code_in_checkpoints()
    if getattr(args, 'amp', False):
        use_mixed_precision(cfg)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'./work_dirs/{Path(path).stem}'
    scope = cfg.get('default_scope')
    if scope in PACKAGES:
        require(scope, f'the config {path}')
    adapt_to_device(cfg)
    return cfg


def build_runner(cfg: Config) -> Runner:
    """Builds the config's Runner, mmengine's unless ``runner_type`` says otherwise."""
    if 'runner_type' not in cfg:
        return Runner.from_cfg(cfg)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    return RUNNERS.build(cfg)
