"""Where a checkpoint comes from, told by the names of its entries."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from repnext_mm.networks.layouts import unwrap

FRAMEWORKS: dict[str, str] = {
    r'proposal_generator\.|backbone\.bottom_up\.|roi_heads\.box_predictor\.cls_score': (
        'detectron2'
    ),
    r'backbone\.body\.|roi_heads\.box_predictor\.|roi_heads\.mask_predictor\.': (
        "torchvision's detectors"
    ),
    r'(layer[1-4]\.\d+\.conv1\.weight|conv1\.weight|fc\.weight)$': (
        "torchvision's or timm's ResNet, a backbone with a classifier"
    ),
    r'features\.\d+\.\d+\.(block\.)?\d|classifier\.\d+\.weight$': "torchvision's classifiers",
    r'blocks\.\d+\.attn\.qkv\.|patch_embed\.proj\.': "timm's vision transformers",
    r'layers\.\d+\.blocks\.\d+\.attn\.relative_position': "timm's Swin",
    r'(stages|blocks)\.\d+\.(blocks\.)?\d+\.(conv_dw|conv_pw|bn1|norm1?|mlp)\.': 'timm',
    r'(\w+\.)?(encoder\.layer|embeddings\.patch_embeddings|encoder\.stages)\.': (
        'Hugging Face transformers'
    ),
    r'model\.(\d+)\.(cv\d|conv|m)\.': 'Ultralytics YOLO',
    r'transformer\.(encoder|decoder)\.layers\.\d+\.|class_embed\.': 'DETR of its authors',
    r'model\.(backbone|model|net|encoder)\.': 'PyTorch Lightning',
}
"""Patterns of names by the framework that writes them, the most special first."""

OWNERS: dict[str, str] = {
    'roi_head.': "a two-stage detector's of mmdet",
    'bbox_head.': "a dense detector's of mmdet",
    'decode_head.': "a segmentor's of mmseg",
    'head.': "a classifier's of mmpretrain",
}
"""By the beginnings of names beside ``backbone.``."""


def describe_origin(
    checkpoint: Mapping[str, Any], state: Iterable[str], wanted: Iterable[str] = ()
) -> str:
    """A sentence about what a file is, or nothing where its names tell nothing new.

    Args:
        checkpoint: Content of the file.
        state: Names of the weights, as mmengine finds them.
        wanted: Names of the model's.
    """
    of_model = list(wanted)
    if 'pytorch-lightning_version' in checkpoint:
        return 'It is a checkpoint of PyTorch Lightning. '
    names = list(state) or [str(name) for name in unwrap(checkpoint)]
    for pattern, framework in FRAMEWORKS.items():
        has, needs = (any(re.match(pattern, n) for n in part) for part in (names, of_model))
        if has and not needs:
            return f'By the names of its entries it is of {framework}, another framework. '
    alone, wanted_alone = (_is_backbone(part) for part in (names, of_model))
    if alone and not wanted_alone:
        return "It is a backbone's file: it has no neck and no heads. "
    for prefix, owner in OWNERS.items():
        has, needs = (any(n.startswith(prefix) for n in part) for part in (names, of_model))
        if has and not needs and any(name.startswith('backbone.') for name in names):
            return f'By the names of its entries it is {owner}. '
    return ''


def _is_backbone(names: list[str]) -> bool:
    """Whether there are entries, and all of them are of a backbone."""
    return bool(names) and all(name.startswith('backbone.') for name in names)
