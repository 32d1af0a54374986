"""What the tools do with a config before it becomes a Runner."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS, init_default_scope
from mmengine.runner import Runner

from repnext_mm.compat import forbid_code_in_checkpoints, require
from repnext_mm.engine.device import adapt_to_device, use_mixed_precision
from repnext_mm.engine.types import type_name
from repnext_mm.models.checkpoint import pretrained_files

PACKAGES = ('mmdet', 'mmseg', 'mmpretrain')
WEIGHTS_HELP = (
    "RepNeXt-M's distilled ImageNet checkpoints are release files of "
    'https://github.com/suous/RepNeXt: save the one of this arch under that name, or name its '
    'folder with REPNEXT_PRETRAINED=FOLDER; --cfg-options model.backbone.init_cfg=None trains from '
    'scratch'
)
DATA_HELP = {
    ('COCO_ROOT', '2017'): (
        'COCO 2017 comes from https://cocodataset.org/#download: unpack train2017.zip, val2017.zip '
        'and annotations_trainval2017.zip into one folder and name it with COCO_ROOT=FOLDER, or '
        'link it as data/coco'
    ),
    ('ADE_ROOT', 'ADEChallengeData2016'): (
        'ADE20K comes from http://sceneparsing.csail.mit.edu (ADEChallengeData2016.zip): unpack it '
        'into data/ade, or name its folder with ADE_ROOT=FOLDER'
    ),
    ('IMAGENET_ROOT', 'imagenet'): (
        'ImageNet-1k comes from https://image-net.org/download: put train/ and val/, with one '
        'folder for each class, into data/imagenet, or name their folder with IMAGENET_ROOT=FOLDER'
    ),
    ('SHAPES_ROOT', 'shapes'): (
        "'python tools/demo.py' generates this dataset below work_dirs and uses it; to use it "
        'otherwise, name its folder with SHAPES_ROOT=FOLDER'
    ),
}
"""How to get data, by the variable that names its folder and a part of its usual paths."""


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


def check_data(cfg: Config, *splits: str) -> None:
    """Makes sure that the files of these splits exist, before anything slow happens.

    Args:
        cfg: A config.
        splits: Of ``'train'``, ``'val'`` and ``'test'``; those that the config lacks
            are skipped, as are paths that are not on the local disk.

    Raises:
        FileNotFoundError: If an annotation file is missing, or a folder of images, or
            such a folder is empty; the message names it and says how to get the data.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        evaluator = cfg.get(f'{split}_evaluator') or {}
        truths = [evaluator.get('ann_file')] if isinstance(evaluator, dict) else []
        settings = dict.fromkeys(filter(None, truths), 'evaluator.ann_file')
        for path in _expected_paths(loader.get('dataset') or {}):
            settings[path] = 'dataloader.dataset.data_root'
        for path, setting in settings.items():
            if '://' not in path and not _has_content(Path(path)):
                found = 'is empty' if Path(path).is_dir() else 'does not exist'
                raise FileNotFoundError(
                    f'the {split} data of this config is not there: {Path(path).absolute()} '
                    f'{found}. {_data_help(path) or f"Set {split}_{setting}"}'
                )


def _has_content(path: Path) -> bool:
    """Whether this is a file, or a folder with anything in it."""
    if not path.is_dir():
        return path.exists()
    with os.scandir(path) as entries:
        return any(entries)


def _data_help(path: str) -> str | None:
    """How to get what should be there, if it is of a dataset that our configs use."""
    for (variable, part), text in DATA_HELP.items():
        root = os.environ.get(variable)
        if part in path or (root and Path(path).is_relative_to(root)):
            return text
    return None


def check_weights(cfg: Config) -> None:
    """Makes sure that the pretrained weights that a config starts from exist.

    Raises:
        FileNotFoundError: If a local file is missing; the message says how to get it.
    """
    for path in pretrained_files(cfg.get('model')):
        if '://' not in path and not Path(path).expanduser().is_file():
            raise FileNotFoundError(
                f'the pretrained weights of this config are not there: expected '
                f'{Path(path).absolute()}. {WEIGHTS_HELP}'
            )


def _expected_paths(dataset: dict) -> Iterator[str]:
    """The annotation file and the folders that a dataset config, nested or not, refers to."""
    for inner in [dataset.get('dataset'), *(dataset.get('datasets') or [])]:
        if isinstance(inner, dict):
            yield from _expected_paths(inner)
    root = dataset.get('data_root') or ''
    prefix = dataset.get('data_prefix') or {}
    if not prefix and type_name(dataset) == 'ImageNet':
        prefix = dataset.get('split', '')
    folders = prefix.values() if isinstance(prefix, dict) else [prefix]
    for part in [dataset.get('ann_file'), *folders]:
        if isinstance(part, str) and (root or part):
            yield os.path.join(root, part)  # noqa: PTH118 (the root may be a URL)


def build_runner(cfg: Config) -> Runner:
    """Builds the config's Runner, mmengine's unless ``runner_type`` says otherwise."""
    if 'runner_type' not in cfg:
        return Runner.from_cfg(cfg)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    return RUNNERS.build(cfg)
