"""Settings that have no effect, or another one than they had: those of mmdet 2.x and mmseg 0.x."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from mmengine.config import Config

from repnext_mm.checks.findings import Finding, Level
from repnext_mm.config_dicts import type_name

OLD_SETTINGS = 'old-settings'


class Successor(NamedTuple):
    """What takes the place of an old setting."""

    text: str
    level: Level = 'error'
    applies: Callable[[Any, Mapping], bool] = lambda value, cfg: True
    """Whether a value is the old setting, and not a variable of the user's with this name."""


def _differs_from(path: str) -> Callable[[Any, Mapping], bool]:
    """Makes a test for a value that is another than that at ``path``, so that it is not used there."""

    def differs(value: Any, cfg: Mapping) -> bool:
        used: Any = cfg
        for key in path.split('.'):
            used = used.get(key) if isinstance(used, Mapping | Config) else None
        if isinstance(value, Mapping) and isinstance(used, Mapping):
            return any(used.get(key) != inner for key, inner in value.items())
        return used != value

    return differs


def _is_old_data(value: Any, cfg: Mapping) -> bool:
    keys = {'samples_per_gpu', 'workers_per_gpu', 'train', 'val', 'test'}
    return isinstance(value, Mapping) and bool(keys & set(value))


def _is_unused_normalization(value: Any, cfg: Mapping) -> bool:
    """Whether mean and deviation are others than those of the data preprocessor."""
    used = (cfg.get('model') or {}).get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    names = [name for name in ('mean', 'std') if isinstance(value, Mapping) and name in value]
    return any(list(value[name]) != list(used.get(name) or ()) for name in names)


def _is_set(value: Any, cfg: Mapping) -> bool:
    return bool(value)


def _clips(value: Any, cfg: Mapping) -> bool:
    return isinstance(value, Mapping) and any(value.values())


def _validates(value: Any, cfg: Mapping) -> bool:
    """Whether a workflow asks for more than training, which it always contains."""
    return [list(step) for step in value or ()] != [['train', 1]]


OPTIMIZER = "optim_wrapper=dict(type='OptimWrapper', optimizer=dict({}))"
SCHEDULES = {
    'step': "dict(type='MultiStepLR', milestones=[...], gamma=0.1, by_epoch=True)",
    'poly': "dict(type='PolyLR', power=0.9, eta_min=1e-4, begin=0, end=..., by_epoch=False)",
    'CosineAnnealing': "dict(type='CosineAnnealingLR', begin=0, end=..., by_epoch=True)",
    'exp': "dict(type='ExponentialLR', gamma=...)",
}
WARMUP = "dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500)"

TOP_LEVEL: dict[str, Successor] = {
    'optimizer': Successor(
        OPTIMIZER.format('...'), 'warning', _differs_from('optim_wrapper.optimizer')
    ),
    'optimizer_config': Successor(
        'optim_wrapper.clip_grad=dict(max_norm=..., norm_type=2)', applies=_clips
    ),
    'fp16': Successor("--amp, or optim_wrapper.type='AmpOptimWrapper' and loss_scale beside it"),
    'paramwise_cfg': Successor(
        'optim_wrapper.paramwise_cfg=dict(...)',
        'warning',
        _differs_from('optim_wrapper.paramwise_cfg'),
    ),
    'lr_config': Successor(f'param_scheduler=[{WARMUP}, {SCHEDULES["step"]}]'),
    'momentum_config': Successor(
        "param_scheduler=[dict(type='CosineAnnealingMomentum', ...)]", applies=_is_set
    ),
    'runner': Successor(
        'train_cfg=dict(max_epochs=...), or for iterations train_cfg=dict(max_iters=..., '
        'val_interval=...), whose type is that of the loop'
    ),
    'total_epochs': Successor(
        'train_cfg=dict(max_epochs=...)', 'warning', _differs_from('train_cfg.max_epochs')
    ),
    'total_iters': Successor(
        "train_cfg=dict(type='IterBasedTrainLoop', max_iters=...)",
        'warning',
        _differs_from('train_cfg.max_iters'),
    ),
    'evaluation': Successor(
        'val_evaluator=dict(metric=...), train_cfg.val_interval=... and '
        'default_hooks.checkpoint.save_best=...'
    ),
    'checkpoint_config': Successor('default_hooks=dict(checkpoint=dict(interval=...))'),
    'resume_from': Successor(
        '--resume FILE on the command line, or load_from=FILE with resume=True',
        applies=_is_set,
    ),
    'auto_resume': Successor('--resume on the command line, or resume=True', applies=_is_set),
    'data': Successor(
        'train_dataloader, val_dataloader and test_dataloader, each dict(batch_size=..., '
        'num_workers=..., dataset=dict(...))',
        applies=_is_old_data,
    ),
    'log_config': Successor(
        'default_hooks.logger=dict(interval=...), and visualizer.vis_backends for TensorBoard and '
        'the like',
        'warning',
    ),
    'workflow': Successor(
        'val_dataloader with val_cfg and val_evaluator; training comes from train_cfg',
        'warning',
        _validates,
    ),
    'dist_params': Successor("env_cfg.dist_cfg=dict(backend='nccl')", 'warning'),
    'cudnn_benchmark': Successor(
        'env_cfg.cudnn_benchmark=True', 'warning', _differs_from('env_cfg.cudnn_benchmark')
    ),
    'opencv_num_threads': Successor('env_cfg.mp_cfg.opencv_num_threads=0', 'warning'),
    'mp_start_method': Successor("env_cfg.mp_cfg.mp_start_method='fork'", 'warning'),
    'seed': Successor('randomness=dict(seed=...)', 'warning', _differs_from('randomness.seed')),
    'deterministic': Successor(
        'randomness=dict(seed=0, deterministic=True)',
        'warning',
        _differs_from('randomness.deterministic'),
    ),
    'gpu_ids': Successor('CUDA_VISIBLE_DEVICES=... before the command', 'warning', _is_set),
    'img_norm_cfg': Successor(
        'model.data_preprocessor=dict(mean=..., std=..., bgr_to_rgb=...)',
        'warning',
        _is_unused_normalization,
    ),
}
"""By the name in mmdet 2.x, mmseg 0.x or mmcls 0.x. ``find_unused_parameters`` is as it was.

Names that people also give to variables of their own count only where the value is not used, and
are warned of, since the command line may have changed it.
"""

DATA_SETTINGS = ('data', 'evaluation', 'img_norm_cfg')
"""Those that concern tests too."""

PACKAGED = ('Coco', 'LVIS', 'Cityscapes', 'VOC', 'PascalVOC', 'XML', 'BaseDet', 'BaseSeg', 'ADE20K')
"""Beginnings of the names of mmdet's and mmseg's data sets, whose arguments are known."""

DATASET: dict[str, str] = {
    'img_prefix': "data_prefix=dict(img='FOLDER/')",
    'seg_prefix': "data_prefix=dict(seg='FOLDER/')",
    'img_dir': "data_prefix=dict(img_path='FOLDER')",
    'ann_dir': "data_prefix=dict(seg_map_path='FOLDER')",
    'classes': 'metainfo=dict(classes=(...))',
    'palette': 'metainfo=dict(palette=[...])',
    'CLASSES': 'metainfo=dict(classes=(...))',
    'PALETTE': 'metainfo=dict(palette=[...])',
    'split': 'ann_file',
}
LOADER: dict[str, str] = {
    'samples_per_gpu': 'batch_size',
    'workers_per_gpu': 'num_workers',
}
TRANSFORMS: dict[str, str] = {
    'DefaultFormatBundle': 'PackDetInputs, PackSegInputs or PackInputs as the last step',
    'Collect': 'PackDetInputs, PackSegInputs or PackInputs as the last step, with meta_keys',
    'ImageToTensor': 'PackDetInputs, PackSegInputs or PackInputs as the last step',
    'MultiScaleFlipAug': 'the transforms inside it, in a row, and --tta for several views',
}
ARGUMENTS: dict[tuple[str, str], str] = {
    (
        'Resize',
        'img_scale',
    ): 'scale=(WIDTH, HEIGHT), or RandomResize or RandomChoiceResize for several',
    ('Resize', 'ratio_range'): "dict(type='RandomResize', scale=..., ratio_range=...)",
    ('Resize', 'multiscale_mode'): "dict(type='RandomChoiceResize', scales=[...])",
    ('RandomFlip', 'flip_ratio'): 'prob=0.5',
    ('RandomCrop', 'crop_ratio'): 'crop_size with crop_type',
    ('Pad', 'seg_pad_val'): 'pad_val=dict(img=0, seg=255)',
}
"""By transform and argument."""


def check_settings(cfg: Config, *splits: str) -> Iterator[Finding]:
    """Finds settings that the packages of today do not read, or read under another name.

    What decides how the training goes is an error, what hardly changes it a warning.

    Args:
        cfg: A config.
        splits: Of ``'train'``, ``'val'`` and ``'test'``: what is going to be used. Without
            ``'train'``, settings that concern training alone are not looked at.
    """
    for name, successor in TOP_LEVEL.items():
        if 'train' not in splits and name not in DATA_SETTINGS:
            continue
        if name in cfg and cfg[name] is not None and successor.applies(cfg[name], cfg):
            yield Finding(
                successor.level,
                OLD_SETTINGS,
                name,
                'this setting of mmdet 2.x and mmseg 0.x has no effect today',
                f'Take it out and set {_successor(name, cfg[name], successor.text)}',
            )
    for split in splits:
        loader = cfg.get(f'{split}_dataloader') or {}
        place = f'{split}_dataloader'
        yield from _renamed(loader, LOADER, place)
        for dataset, path in _datasets(loader.get('dataset') or {}, f'{place}.dataset'):
            if type_name(dict(dataset)).startswith(PACKAGED):
                yield from _renamed(dataset, DATASET, path)
            yield from _pipeline(dataset.get('pipeline') or (), f'{path}.pipeline', cfg)


def _successor(name: str, value: Any, text: str) -> str:
    """The new setting, with the values of the old one where they can be told."""
    if not isinstance(value, Mapping):
        return text.replace('...', repr(value), 1) if text.count('...') == 1 else text
    if name == 'optimizer':
        return OPTIMIZER.format(', '.join(f'{k}={v!r}' for k, v in value.items()))
    if name == 'lr_config':
        main = SCHEDULES.get(value.get('policy', 'step'), SCHEDULES['step'])
        if isinstance(value.get('step'), list):
            main = main.replace('[...]', repr(value['step']))
        steps = [WARMUP, main] if value.get('warmup') else [main]
        return f'param_scheduler=[{", ".join(steps)}]'
    if name == 'runner':
        unit = 'max_iters' if 'max_iters' in value else 'max_epochs'
        return f'train_cfg.{unit}={value.get(unit, "...")}'
    if name == 'checkpoint_config':
        options = ', '.join(f'{k}={v!r}' for k, v in value.items())
        return f'default_hooks=dict(checkpoint=dict({options}))'
    return text


def _renamed(part: Mapping, names: Mapping[str, str], path: str) -> Iterator[Finding]:
    for name in names:
        if name in part:
            yield Finding(
                'error',
                OLD_SETTINGS,
                f'{path}.{name}',
                f'{name!r} is of mmdet 2.x and mmseg 0.x',
                f'Its successor is {names[name]}',
            )


def _datasets(dataset: Mapping, path: str) -> Iterator[tuple[Mapping, str]]:
    """A data set and those inside it, with their places in the config."""
    yield dataset, path
    if isinstance(dataset.get('dataset'), Mapping):
        yield from _datasets(dataset['dataset'], f'{path}.dataset')
    for number, inner in enumerate(dataset.get('datasets') or ()):
        if isinstance(inner, Mapping):
            yield from _datasets(inner, f'{path}.datasets[{number}]')


def _pipeline(steps: Any, path: str, cfg: Mapping) -> Iterator[Finding]:
    """Transforms and arguments that are gone, and images that would be normalized twice."""
    for number, step in enumerate(steps):
        if not isinstance(step, dict):
            continue
        kind, place = type_name(step), f'{path}[{number}]'
        old = [(kind, 'type', TRANSFORMS[kind])] if kind in TRANSFORMS else []
        old += [(kind, n, text) for (k, n), text in ARGUMENTS.items() if k == kind and n in step]
        for transform, name, text in old:
            what = f'{transform} is' if name == 'type' else f'{name!r} of {transform} is'
            message = f'{what} of mmdet 2.x and mmseg 0.x'
            yield Finding('error', OLD_SETTINGS, place, message, f'Its successor is {text}')
        preprocessor = (cfg.get('model') or {}).get('data_preprocessor') or {}
        if kind == 'Normalize' and preprocessor.get('mean') is not None:
            yield Finding(
                'error',
                OLD_SETTINGS,
                place,
                'images are normalized here, and again by model.data_preprocessor',
                'Take Normalize out of the pipeline',
            )
