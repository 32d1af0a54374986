"""Checkpoint files as RepNeXt-M's authors and the old packages write them.

The names of necks and heads are those of mmdet 2.x and mmseg 0.x, spelled out here:
not derived from the models into which the files must fit.
"""

from argparse import Namespace
from pathlib import Path

import torch
from golden import official_state, values
from torch import Tensor

CHANNELS = {
    'm0': (40, 80, 160, 320),
    'm1': (48, 96, 192, 384),
    'm3': (64, 128, 256, 512),
}
COCO_CLASSES = 80
ADE_CLASSES = 150


def entries(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights and biases of layers, given the shapes of the weights."""
    state = {}
    for name, shape in shapes.items():
        # Transposed convolutions count their outputs in the second dimension.
        outputs = shape[1] if name.endswith('upsample') else shape[0]
        state |= {f'{name}.weight': values(name, shape), f'{name}.bias': torch.zeros(outputs)}
    return state


def fpn(arch: str) -> dict[str, tuple[int, ...]]:
    lateral = {f'neck.lateral_convs.{i}.conv': (256, c, 1, 1) for i, c in enumerate(CHANNELS[arch])}
    return lateral | {f'neck.fpn_convs.{i}.conv': (256, 256, 3, 3) for i in range(4)}


def detector(arch: str) -> dict:
    """Mask R-CNN of mmdet 2.x."""
    layers = fpn(arch) | {
        'rpn_head.rpn_conv': (256, 256, 3, 3),
        'rpn_head.rpn_cls': (3, 256, 1, 1),
        'rpn_head.rpn_reg': (12, 256, 1, 1),
        'roi_head.bbox_head.fc_cls': (COCO_CLASSES + 1, 1024),
        'roi_head.bbox_head.fc_reg': (4 * COCO_CLASSES, 1024),
        'roi_head.bbox_head.shared_fcs.0': (1024, 256 * 7 * 7),
        'roi_head.bbox_head.shared_fcs.1': (1024, 1024),
        **{f'roi_head.mask_head.convs.{i}.conv': (256, 256, 3, 3) for i in range(4)},
        'roi_head.mask_head.upsample': (256, 256, 2, 2),
        'roi_head.mask_head.conv_logits': (COCO_CLASSES, 256, 1, 1),
    }
    meta = dict(mmdet_version='2.28.2', epoch=12, CLASSES=('person', 'bicycle'), config='...')
    return dict(meta=meta, state_dict=backbone(arch) | entries(layers), optimizer=dict(state={}))


def segmentor(arch: str) -> dict:
    """Semantic FPN of mmseg 0.x."""
    state = backbone(arch) | entries(fpn(arch))
    state |= entries({'decode_head.conv_seg': (ADE_CLASSES, 128, 1, 1)})
    for name in ('0.0', '1.0', '2.0', '2.2', '3.0', '3.2', '3.4'):
        head = f'decode_head.scale_heads.{name}'
        inputs = 256 if name.endswith('.0') else 128
        state[f'{head}.conv.weight'] = values(head, (128, inputs, 3, 3))
        for part in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'):
            shape = () if part == 'num_batches_tracked' else (128,)
            state[f'{head}.bn.{part}'] = values(f'{head}.norm.{part}', shape)
    meta = dict(mmseg_version='0.30.0', iter=80000, CLASSES=('wall',), PALETTE=[[120, 120, 120]])
    return dict(meta=meta, state_dict=state, optimizer=None)


def backbone(arch: str) -> dict[str, Tensor]:
    state = official_state(arch).items()
    return {f'backbone.{name}': value for name, value in state if not name.startswith('head.')}


def imagenet(arch: str) -> dict:
    """What the official training script saves."""
    arguments = Namespace(model=f'repnext_{arch}', lr=1e-3, distillation_type='hard')
    return dict(model=official_state(arch), optimizer=dict(state={}), epoch=299, args=arguments)


def starnet_recipe(arch: str, ema: bool = True) -> dict:
    """What timm's training script saves: raw weights, and averaged ones, the better ones."""
    state = official_state(arch)
    arguments = Namespace(model=f'repnext_{arch}', clip_grad=None)
    content = dict(epoch=299, arch=f'repnext_{arch}', version=2, args=arguments, metric=72.6)
    if not ema:
        return content | dict(state_dict=state)
    raw = {n: v + 1 if v.is_floating_point() else v for n, v in state.items()}
    return content | dict(state_dict=raw, state_dict_ema=state)


def parallel(arch: str) -> dict:
    """A bare state dict from DistributedDataParallel."""
    return {f'module.{name}': value for name, value in official_state(arch).items()}


IMAGENET_LAYOUTS = {
    'model': imagenet,
    'state_dict': lambda arch: starnet_recipe(arch, ema=False),
    'state_dict_ema': starnet_recipe,
    'bare': official_state,
    'parallel': parallel,
}


def save(content: dict, path: Path) -> str:
    """Writes a file and returns its name."""
    torch.save(content, path)
    return str(path)
