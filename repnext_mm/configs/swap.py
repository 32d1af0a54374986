"""Another backbone in a recipe: what of the config follows from it."""

import os
from collections.abc import Mapping
from typing import Any

from repnext_mm.config_dicts import WEIGHTS_FOLDER, type_name
from repnext_mm.configs.rows import ROWS, BackboneRow, row_of
from repnext_mm.models import RepNeXt
from repnext_mm.models.timm_features import SIZE_FREE, FeatureLayout, feature_layout, network_kinds

SYNC_BN = dict(type='SyncBN', requires_grad=True)
TIMM_SIZE = 224
"""Side in pixels of the images that timm's networks are made for."""

Overrides = dict[str, Any]


def with_backbone(base: Mapping[str, Any], name: str) -> Overrides:
    """The keys of a config that change when its recipe trains another backbone.

    In a config: ``globals().update(repnext_mm.configs.with_backbone(_base_, 'resnet18'))``, with
    ``repnext_mm = __import__('repnext_mm.configs')``.

    Args:
        base: The config of a recipe: a detector or segmentor with an FPN or UperNet, or a
            classifier.
        name: Of :data:`repnext_mm.configs.rows.ROWS`, or any network of timm with feature maps.

    Returns:
        Keys for a config that inherits from ``base``, some with ``_delete_``.

    Raises:
        ValueError: If there is no such backbone, or the recipe is none of these.
    """
    row = row_of(name)
    task = _task(base)
    try:
        if task == 'classifier':
            model = _classifier(base, row)
        else:
            readers = _readers(base['model'], _layout(row))
            model = dict(backbone=_backbone(row, task), **readers)
    except ValueError as error:
        if name in ROWS:
            raise
        raise ValueError(f'{error}. Names with recipes: {", ".join(ROWS)}') from error
    overrides: Overrides = dict(model=model)
    if not row.arch and task != 'classifier':
        overrides['sync_bn'] = 'torch'
    wrapper = base.get('optim_wrapper') or {}
    if str(wrapper.get('constructor', '')).endswith('LayerDecayOptimWrapperConstructor'):
        decay = getattr(row.decay, task) if row.decay else dict(decay_rate=1.0)
        overrides['optim_wrapper'] = dict(paramwise_cfg=dict(_delete_=True, **decay))
    return overrides


def repnext_weights(arch: str) -> Overrides:
    """``init_cfg`` of a RepNeXt for other tasks than ImageNet, as a dict.

    RepNeXt-M's published checkpoints are expected in the folder ``pretrained`` unless
    ``REPNEXT_PRETRAINED`` names another. Those of RepNeXt-T are nowhere published: the recipe
    ``repnext_tiny_imagenet`` makes them. Without the variable they are not asked for, and
    training starts from random weights.

    Args:
        arch: A name of :class:`~repnext_mm.models.RepNeXt`.

    Returns:
        Empty for RepNeXt-T without the variable.
    """
    folder = os.environ.get(WEIGHTS_FOLDER)
    mobile = arch[0] == 'm'
    if not folder and not mobile:
        return {}
    checkpoint = f'{folder or "pretrained"}/repnext_{arch}.pth'
    source = {} if mobile else dict(prefix='backbone.')
    return dict(init_cfg=dict(type='Pretrained', checkpoint=checkpoint, **source))


def _task(base: Mapping[str, Any]) -> str:
    """``'detector'``, ``'cascade'``, ``'segmentor'`` or ``'classifier'``."""
    scope, kind = base.get('default_scope'), type_name(base.get('model') or {})
    tasks = dict(mmdet='detector', mmseg='segmentor', mmpretrain='classifier')
    if scope not in tasks:
        raise ValueError(f'default_scope must be one of {tuple(tasks)}, got {scope!r}')
    return 'cascade' if kind.startswith('Cascade') else tasks[scope]


def _layout(row: BackboneRow) -> FeatureLayout:
    """The feature maps that a row's backbone has."""
    if row.timm:
        return feature_layout(row.timm)
    channels = tuple(RepNeXt.arch_settings[row.arch].channels) if row.arch else row.channels
    return FeatureLayout((0, 1, 2, 3), channels, (4, 8, 16, 32))


def _is_plain(layout: FeatureLayout) -> bool:
    """Whether all maps have one stride, as those of a plain Vision Transformer."""
    return len(set(layout.strides)) == 1


def _backbone(row: BackboneRow, task: str) -> Overrides:
    """Config of a backbone with four feature maps, of a Vision Transformer with one or four."""
    rate = getattr(row.rates, task)
    common: Overrides = dict(_delete_=True, drop_path_rate=rate)
    if row.arch:
        common |= dict(type='repnext_mm.RepNeXt', arch=row.arch, norm_cfg=SYNC_BN)
        return common | repnext_weights(row.arch)
    if row.backbone:
        return common | row.backbone | dict(norm_intermediate_features=True)
    assert row.timm
    layout = feature_layout(row.timm)
    common |= dict(type='repnext_mm.TimmFeatures', name=row.timm, out_norm=row.out_norm)
    if _is_plain(layout):
        depth = len(layout.indices)
        last = [depth - 1]
        quarters = [depth * part // 4 - 1 for part in range(1, 5)]
        common |= dict(out_indices=quarters if task == 'segmentor' else last, out_norm=True)
    return common | dict(init_cfg=_timm_weights(row.timm))


def _timm_weights(name: str) -> Overrides | None:
    """Published weights; None for a name without them."""
    return dict(type='Pretrained', checkpoint=f'timm://{name}') if '.' in name else None


def _readers(model: Mapping[str, Any], layout: FeatureLayout) -> Overrides:
    """Necks and heads that read feature maps, with their channels."""
    channels, neck = list(layout.channels), model.get('neck')
    if neck is not None and not isinstance(neck.get('in_channels'), list | tuple):
        raise ValueError(
            f'the neck {type_name(neck)} of this config is made for another kind of backbone: '
            'start from a config of RepNeXt'
        )
    if _is_plain(layout):
        width = channels[-1]
        if neck is not None:
            pyramid = dict(type='repnext_mm.SimpleFeaturePyramid', in_channels=width)
            sizes = dict(out_channels=neck['out_channels'], num_outs=neck['num_outs'])
            return dict(neck=dict(_delete_=True, **pyramid, **sizes))
        pyramid = dict(type='Feature2Pyramid', embed_dim=width, rescales=[4, 2, 1, 0.5])
        heads = _heads(model, [width] * 4)
        return dict(neck=dict(**pyramid, norm_cfg=SYNC_BN), **heads)
    if neck is not None:
        return dict(neck=dict(in_channels=channels))
    return _heads(model, channels)


def _heads(model: Mapping[str, Any], channels: list[int]) -> Overrides:
    """Heads of a segmentor without a neck."""
    heads: Overrides = dict(decode_head=dict(in_channels=channels))
    if 'auxiliary_head' in model:
        index = model['auxiliary_head'].get('in_index', -1)
        heads['auxiliary_head'] = dict(in_channels=channels[index])
    return heads


def _classifier(base: Mapping[str, Any], row: BackboneRow) -> Overrides:
    """Model of a classifier: RepNeXt with our recipe's head, timm's with their own."""
    model, rate = base['model'], row.rates.classifier
    pretrained = base.get('from_imagenet', False)
    if not row.timm:
        common: Overrides = dict(_delete_=True, drop_path_rate=rate)
        if row.arch:
            weights: Overrides = repnext_weights(row.arch) if pretrained else dict(init_cfg=None)
            backbone: Overrides = dict(type='repnext_mm.RepNeXt', arch=row.arch, out_indices=-1)
            backbone |= weights
        else:
            backbone = (row.backbone or {}) | dict(out_indices=(3,))
        head = dict(in_channels=_layout(row).channels[-1])
        return dict(backbone=common | backbone, head=head)
    options: Overrides = dict(drop_path_rate=rate) if rate else {}
    if base.get('image_size', TIMM_SIZE) != TIMM_SIZE:
        for kind in network_kinds(row.timm):
            options |= SIZE_FREE.get(kind, {})
    return dict(
        _delete_=True,
        type='TimmClassifier',
        model_name=row.timm,
        num_classes=model['head']['num_classes'],
        loss=model['head']['loss'],
        train_cfg=model.get('train_cfg'),
        init_cfg=_timm_weights(row.timm) if pretrained else None,
        **options,
    )
