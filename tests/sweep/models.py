"""From a published config to a small one with our backbone, whose widths are the published ones."""

import copy
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from helpers import without_values
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from repnext_mm.config_dicts import replace_types
from sweep.methods import Method

STRIDES = (4, 8, 16, 32)
HIDDEN = 8
"""Channels inside the blocks: the fewer, the faster."""

SMALLER = dict(
    num_queries=40,
    num_proposals=30,
    stacked_convs=1,
    num_points=112,
    max_per_img=30,
    nms_pre=100,
    with_cp=False,
)
"""Values of a config, by key, that become so if they are larger."""

LAYERS = ('encoder', 'decoder')
"""Transformers of which two layers are enough, in detectors."""


def small_config(method: Method) -> Config:
    """The method's config with our backbone, and with less of what takes time.

    Raises:
        ValueError: If our backbone cannot have the feature maps that the published one has.
    """
    spec = importlib.util.find_spec(method.package)
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / '.mim' / 'configs'
    cfg = Config.fromfile(folder / f'{method.config}.py')
    cfg.merge_from_dict(dict(default_scope=method.package))
    model = cfg.model
    _forget_weights(model)
    replace_types(model, ('SyncBN', 'MMSyncBN', 'NaiveSyncBN'), 'BN')
    teacher = model.get('teacher_config')
    if isinstance(teacher, str):  # by its path in the repository
        model.teacher_config = str(folder / teacher.removeprefix('configs/'))
    place, key = _backbone_of(model)
    place[key] = backbone_like(place[key], method)
    _shrink(model)
    if method.package == 'mmseg':
        model.data_preprocessor.pop('test_cfg', None)
        model.data_preprocessor.size = (method.size, method.size)
        model.test_cfg = dict(model.get('test_cfg') or {}, mode='whole')
    elif model.get('data_preprocessor'):
        model.data_preprocessor.pop('batch_augments', None)
    cfg.merge_from_dict({f'model.{name}': value for name, value in method.changes.items()})
    return cfg


def _forget_weights(cfg: Any) -> None:
    """Takes out whatever would be downloaded."""
    if isinstance(cfg, dict):
        for name in ('pretrained', 'teacher_ckpt', 'checkpoint_file'):
            if isinstance(cfg.get(name), str):
                cfg[name] = None
        init = cfg.get('init_cfg')
        if isinstance(init, dict) and init.get('type') == 'Pretrained':
            cfg['init_cfg'] = None
    if isinstance(cfg, dict | list | tuple):
        for part in cfg.values() if isinstance(cfg, dict) else cfg:
            _forget_weights(part)


def _shrink(cfg: Any, name: str = '') -> None:
    """Makes counts smaller (:data:`SMALLER`), anywhere in a config."""
    if isinstance(cfg, dict):
        for key, most in SMALLER.items():
            if isinstance(cfg.get(key), int) and cfg[key] > most:
                cfg[key] = most
        if name in LAYERS and isinstance(cfg.get('num_layers'), int):
            cfg['num_layers'] = min(cfg['num_layers'], 2)
        for key, part in cfg.items():
            _shrink(part, key)
    elif isinstance(cfg, list | tuple):
        for part in cfg:
            _shrink(part, name)


def _backbone_of(model: Any) -> tuple[Any, str]:
    """Where the config has its backbone: the dict, and the key in it.

    Some methods of segmentation are themselves called backbones, and have one inside.
    """
    if 'detector' in model and 'backbone' not in model:
        model = model['detector']
    backbone = model['backbone']
    return (backbone, 'backbone_cfg') if 'backbone_cfg' in backbone else (model, 'backbone')


def backbone_like(published: Any, method: Method) -> dict[str, Any]:
    """Config of a RepNeXt-T with the feature maps of another backbone.

    Raises:
        ValueError: If no stages of ours have the strides of these maps.
    """
    strides, channels = method.strides, method.channels
    if not strides:
        shapes = feature_shapes(published, method.size)
        channels = tuple(shape[1] for shape in shapes)
        strides = tuple(round(method.size / shape[-1]) for shape in shapes)
    last = max(strides)
    dilated = len(set(strides)) < len(strides)
    indices = _stages(strides, dilated)
    if last not in STRIDES or indices is None:
        raise ValueError(f'feature maps of strides {strides} are no stages of a pyramid')
    cfg: dict[str, Any] = dict(
        type='repnext_mm.RepNeXt',
        arch=_arch(indices, channels),
        out_indices=indices,
        norm_cfg=dict(type='BN'),
    )
    return cfg | (dict(output_stride=last) if dilated else {})


def _stages(strides: Sequence[int], dilated: bool) -> tuple[int, ...] | None:
    """The stages that have these strides; None if there are none."""
    if not dilated:
        known = all(stride in STRIDES for stride in strides)
        return tuple(map(STRIDES.index, strides)) if known else None
    first = len(STRIDES) - len(strides)
    expected = [min(stride, max(strides)) for stride in STRIDES]
    if list(strides) == expected[first:]:
        return tuple(range(first, len(STRIDES)))
    return (0, 1, 2) if list(strides) == expected[:3] else None


def _arch(indices: Sequence[int], channels: Sequence[int]) -> dict[str, Any]:
    """Widths of the stages: those that are asked for, and for others the next one's."""
    widths = [16] * len(STRIDES)
    for index in reversed(range(len(STRIDES))):
        later = [c for i, c in zip(indices, channels, strict=True) if i >= index]
        exact = [c for i, c in zip(indices, channels, strict=True) if i == index]
        widths[index] = exact[0] if exact else later[0] if later else 16
    hidden = [[HIDDEN]] * len(STRIDES)
    return dict(channels=widths, depths=[1] * len(STRIDES), hidden_channels=hidden)


def feature_shapes(published: Any, size: int) -> list[torch.Size]:
    """Shapes of a backbone's outputs for one image, computed without values."""
    cfg = copy.deepcopy(published)
    replace_types(cfg, ('DCN', 'DCNv2'), 'Conv2d')
    cfg.pop('dcn', None)
    if 'norm_cfg' in cfg:
        cfg['norm_cfg'].pop('eps', None)  # NAS-FCOS has 0, which torch refuses by now
    with without_values(), torch.no_grad():
        network: nn.Module = MODELS.build(cfg)
        network.eval()
        outputs = network(torch.empty(1, 3, size, size))
    if not all(isinstance(output, torch.Tensor) for output in outputs):
        raise ValueError('its backbone puts out more than feature maps, such as class tokens')
    return [output.shape for output in outputs]
