"""Our configs, made small enough for a step a second."""

from collections.abc import Set
from pathlib import Path

from helpers import slim
from mmengine.config import Config

from repnext_mm.config_dicts import type_name
from repnext_mm.models.timm_features import SIZE_FREE, network_kinds

CONFIGS = Path(__file__).parents[1] / 'configs'


def read(path: Path) -> Config:
    return Config.fromfile(path)


TEACHER = dict(
    type='ImageClassifier',
    backbone=dict(type='MobileNetV2', widen_factor=0.1),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=1280),
)
ONE_BLOCK = (1, 1, 1, 1)
SHORT: dict[str, dict] = dict(
    convnext_=dict(depths=ONE_BLOCK),
    swin_=dict(depths=ONE_BLOCK),
    deit_=dict(mlp_ratio=0.1),
    resnet=dict(layers=ONE_BLOCK),
    repvit_=dict(depth=ONE_BLOCK),
    mobilenetv2_=dict(depth_multiplier=0.1),
)
"""Fewer or thinner layers with the channels of the real ones, by what timm's names begin with."""


def short_options(name: str) -> dict:
    """Arguments with which timm makes a network short; none for other networks."""
    return next((options for start, options in SHORT.items() if name.startswith(start)), {})


THIN: dict[str, dict] = dict(
    ResNetV1c=dict(depth=18, base_channels=8, stem_channels=8),
    dilated_repvgg=dict(
        arch=dict(
            num_blocks=[1, 1, 5, 1],
            width_factor=[0.125] * 4,
            group_layer_map=None,
            se_cfg=None,
        )
    ),
)
"""Other backbones with 8, 16, 32 and 64 channels."""

NARROWER = 16
"""By which the channels of necks and heads are divided: those that must agree agree as before."""
WIDTHS = {'channels', 'conv_out_channels', 'feat_channels', 'in_channels', 'out_channels'}


def shrink(cfg: Config) -> Config:
    """The same model with thin stages and without weights, so that a step takes a second.

    Every batch is a step.
    """
    model = cfg.model
    cfg.optim_wrapper.pop('accumulative_counts', None)  # so that the first step counts
    shorten(model)
    if cfg.default_scope in ('mmdet', 'mmseg'):
        narrow_heads(model)
    if cfg.default_scope == 'mmdet':
        for extractor in ('bbox_roi_extractor', 'mask_roi_extractor'):
            model.roi_head[extractor].roi_layer.sampling_ratio = 2
        for head in as_list(model.roi_head.bbox_head):
            head.fc_out_channels = 64
        for stage in as_list(model.train_cfg.rcnn):
            stage.sampler.num = 8
        model.test_cfg.rpn.max_per_img = 50
        model.test_cfg.rcnn.max_per_img = 10
    elif cfg.default_scope == 'mmseg':
        model.data_preprocessor.size = (32, 32)
    elif 'teacher' in model:
        model.teacher = TEACHER
    if 'teacher_config' in model:  # the student again
        arguments = ('type', 'student', 'features', 'teacher_config', 'teacher_ckpt')
        own = {key: value for key, value in model.items() if key not in arguments}
        model.teacher_config = dict(own, type=model.student)
    return cfg


def shorten(model: dict) -> None:
    """Makes the backbone thin or short, and leaves its weights out."""
    if type_name(model) == 'TimmClassifier':
        model.update(short_options(model.model_name))
        for kind in network_kinds(model.model_name):
            model.update(SIZE_FREE.get(kind, {}))
        return
    backbone = model.backbone
    backbone.pop('init_cfg', None)
    if type_name(backbone) == 'RepNeXt':
        set_channels(model, thin_stages(backbone))
    elif type_name(backbone) in THIN:
        backbone.update(THIN[type_name(backbone)])
        set_channels(model, [8, 16, 32, 64])
    elif type_name(backbone) == 'RepLKNet':
        backbone.arch.layers = list(ONE_BLOCK)
    elif options := short_options(backbone.get('name', '')):
        backbone.options = options


def narrow_detector(model: dict, width: int = 16) -> None:
    """Makes neck and heads of a detector narrow."""
    model.neck.out_channels = model.rpn_head.in_channels = model.rpn_head.feat_channels = width
    for name in ('bbox_roi_extractor', 'mask_roi_extractor'):
        model.roi_head[name].out_channels = width
    for head in as_list(model.roi_head.bbox_head):
        head.in_channels = width
    for head in as_list(model.roi_head.mask_head):
        head.update(in_channels=width, conv_out_channels=width, num_convs=1)


def as_list(value: object) -> list:
    return value if isinstance(value, list) else [value]


def thin_stages(backbone: dict) -> list[int]:
    """Makes a RepNeXt thin and short, and returns its channels."""
    arch = backbone.arch
    variant = arch if isinstance(arch, str) else arch.get('variant', 'tiny')
    backbone.arch = slim(variant, depths=(1, 1, 1, 1))
    return backbone.arch['channels']


def narrow_heads(model: dict) -> None:
    """Divides all channels behind the backbone; its own, which the first part reads, stay."""
    readers = {'neck'}
    if 'out_channels' not in model.get('neck', {}):  # no neck, or one that keeps them
        readers |= {'decode_head', 'auxiliary_head'}
    for name in ('neck', 'rpn_head', 'roi_head', 'decode_head', 'auxiliary_head'):
        divide(model.get(name, {}), WIDTHS - {'in_channels'} if name in readers else WIDTHS)


def divide(part: dict | list, keys: Set[str]) -> None:
    """Divides the channels under these keys, at any depth."""
    if isinstance(part, dict):
        for key in keys & set(part):
            widths = as_list(part[key])
            assert not any(width % NARROWER for width in widths), f'{key}={part[key]}'
            narrow = [width // NARROWER for width in widths]
            part[key] = narrow if isinstance(part[key], list) else narrow[0]
    for child in part.values() if isinstance(part, dict) else part:
        if isinstance(child, dict | list):
            divide(child, keys)


def set_channels(model: dict, channels: list[int]) -> None:
    """Tells what reads the features of the backbone."""
    if 'in_channels' in model.get('neck', {}):
        model.neck.in_channels = channels
    elif 'auxiliary_head' in model:
        several = isinstance(model.decode_head.in_channels, list)
        model.decode_head.in_channels = channels if several else channels[-1]
        model.auxiliary_head.in_channels = channels[2]
    else:
        model.head.in_channels = channels[-1]
