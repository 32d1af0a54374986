"""Checks that the data and the weights that a config names are there, before anything slow."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from repnext_mm.config_dicts import pretrained_files, teacher_files, type_name

FROM_SCRATCH = 'with model.backbone.init_cfg=None in the config, training starts from scratch'
WEIGHTS_HELP = (
    "RepNeXt-M's distilled ImageNet checkpoints are release files of "
    'https://github.com/suous/RepNeXt: save the one of this arch under that name, or name its '
    f'folder with REPNEXT_PRETRAINED=FOLDER; {FROM_SCRATCH}'
)
UNPUBLISHED_HELP = (
    "RepNeXt-T's ImageNet checkpoints are nowhere published: make this one with "
    "'python tools/train.py configs/repnext_tiny_imagenet.py --backbone {name}' and copy its last "
    f'checkpoint there, or leave REPNEXT_PRETRAINED unset; {FROM_SCRATCH}'
)
TEACHER_HELP = (
    'Train the teacher first, or name its files with model.teacher_config and model.teacher_ckpt; '
    "RepNeXt-M's Mask R-CNN and Semantic FPN are release files of https://github.com/suous/RepNeXt"
)
PREPARED = (
    "'python tools/prepare_data.py {0} ARCHIVE' makes this dataset in the folder data; docs/results.md "
    'says where archives come from; if it is elsewhere, name its folder with {1}=FOLDER'
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
    ('CITYSCAPES_ROOT', 'cityscapes'): (
        'Cityscapes comes from https://www.cityscapes-dataset.com/downloads: unpack '
        'leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip into data/cityscapes, or name their '
        "folder with CITYSCAPES_ROOT=FOLDER, and make the label maps with cityscapesscripts' "
        'csCreateTrainIdLabelImgs'
    ),
    ('IMAGENET_ROOT', 'imagenet'): (
        'ImageNet-1k comes from https://image-net.org/download: put train/ and val/, with one '
        'folder for each class, into data/imagenet, or name their folder with IMAGENET_ROOT=FOLDER'
    ),
    ('IMAGEWOOF_ROOT', 'imagewoof'): (
        'ImageWoof comes from https://github.com/fastai/imagenette (imagewoof2.tgz): unpack it into '
        'data, or name its folder, with train/ and val/ in it, with IMAGEWOOF_ROOT=FOLDER'
    ),
    ('CIFAR100_ROOT', 'cifar100'): (
        'CIFAR-100 comes from https://www.cs.toronto.edu/~kriz/cifar.html (the Python version): '
        'unpack it into data/cifar100, or name the folder that cifar-100-python lies in with '
        'CIFAR100_ROOT=FOLDER'
    ),
    ('SHAPES_ROOT', 'shapes'): (
        "'python tools/demo.py' generates this dataset below work_dirs and uses it; to use it "
        'otherwise, name its folder with SHAPES_ROOT=FOLDER'
    ),
    ('CIFAR10_ROOT', 'cifar10'): PREPARED.format('cifar10', 'CIFAR10_ROOT'),
    ('NUCLEI_ROOT', 'nuclei'): PREPARED.format('nuclei', 'NUCLEI_ROOT'),
    ('CAMVID_ROOT', 'camvid'): PREPARED.format('camvid', 'CAMVID_ROOT'),
}
"""How to get data, by the variable that names its folder and a part of its usual paths."""


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
    """Tells how to get a dataset that our configs use; None for the paths of others."""
    for (variable, part), text in DATA_HELP.items():
        root = os.environ.get(variable)
        if part in path or (root and Path(path).is_relative_to(root)):
            return text
    return None


def check_pretrained(cfg: Config) -> None:
    """Makes sure that the pretrained weights that a config starts from exist, and its teacher.

    Warns if a RepNeXt-T that should start from ImageNet weights has none because no folder of
    checkpoints is named.

    Args:
        cfg: A config; the ``init_cfg`` anywhere in its model count, but for URLs.

    Raises:
        FileNotFoundError: If a local file is missing; the message says how to get it.
    """
    for path in pretrained_files(cfg.get('model')):
        if '://' not in path and not Path(path).expanduser().is_file():
            name = Path(path).stem
            unpublished = name.startswith('repnext_') and not name.startswith('repnext_m')
            advice = UNPUBLISHED_HELP.format(name=name) if unpublished else WEIGHTS_HELP
            raise FileNotFoundError(
                f'the pretrained weights of this config are not there: expected '
                f'{Path(path).absolute()}. {advice}'
            )
    for key, path in teacher_files(cfg.get('model') or {}).items():
        if not Path(path).expanduser().is_file():
            raise FileNotFoundError(
                f'the {key} of this config is not there: expected {Path(path).absolute()}. '
                f'{TEACHER_HELP}'
            )
    if _lacks_weights(cfg):
        print_log(
            'the backbone starts from random weights, and its recipe means ImageNet weights: name '
            'the folder of repnext_tiny.pth and the like with REPNEXT_PRETRAINED=FOLDER '
            '(configs/repnext_tiny_imagenet.py makes them); if random weights are meant, '
            'model.backbone.init_cfg=None says so and ends this warning',
            logger='current',
            level=logging.WARNING,
        )


def _lacks_weights(cfg: Config) -> bool:
    """Whether a RepNeXt starts from random weights and nobody has said that it should."""
    backbone = (cfg.get('model') or {}).get('backbone') or {}
    meant = cfg.get('from_imagenet', cfg.get('default_scope') in ('mmdet', 'mmseg'))
    given = cfg.get('load_from') or cfg.get('resume') or 'init_cfg' in backbone
    return meant and type_name(backbone) == 'RepNeXt' and not given


def _expected_paths(dataset: dict) -> Iterator[str]:
    """Lists the annotation file and the folders of a dataset config, nested or not."""
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
