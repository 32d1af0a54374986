"""Small one-stage detectors of mmdet to export, with random weights that find something."""

import torch
from exports import CLASSES, small_config
from helpers import randomize
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope

from repnext_mm.checkpoints.loading import build_model

TEST_CFG = dict(
    nms_pre=60,
    min_bbox_size=0,
    score_thr=0.3,
    nms=dict(type='nms', iou_threshold=0.6),
    max_per_img=20,
)
POINTS = dict(type='DistancePointBBoxCoder')
BN = dict(type='BN')
ANCHORS = dict(
    type='AnchorGenerator',
    ratios=[1.0],
    octave_base_scale=8,
    scales_per_octave=1,
    strides=[8, 16, 32, 64, 128],
)
HEADS = {
    'RetinaNet': dict(type='RetinaHead', stacked_convs=1),
    'FCOS': dict(type='FCOSHead', stacked_convs=1, norm_on_bbox=True, norm_cfg=BN),
    'ATSS': dict(
        type='ATSSHead',
        stacked_convs=1,
        norm_cfg=BN,
        anchor_generator=ANCHORS,
    ),
    'RTMDet': dict(
        type='RTMDetSepBNHead',
        stacked_convs=1,
        share_conv=True,
        pred_kernel_size=1,
        with_objectness=False,
        exp_on_reg=True,
        norm_cfg=BN,
        anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16, 32]),
        bbox_coder=POINTS,
    ),
    'GFL': dict(
        type='GFLHead',
        stacked_convs=1,
        norm_cfg=BN,
        anchor_generator=ANCHORS,
    ),
}


def detector(kind: str, **test_cfg) -> torch.nn.Module:
    """A small one-stage detector of mmdet whose random weights find something."""
    base = small_config('mask_rcnn_repnext_tiny_coco').model
    levels = 3 if kind == 'RTMDet' else 5
    neck = dict(base.neck, in_channels=base.neck.in_channels[1:], num_outs=levels, start_level=0)
    head = dict(HEADS[kind], num_classes=CLASSES, in_channels=16, feat_channels=16)
    model = dict(
        type=kind,
        data_preprocessor=base.data_preprocessor,
        backbone=dict(base.backbone, out_indices=(1, 2, 3)),
        neck=neck | (dict(add_extra_convs='on_output') if levels == 5 else {}),
        bbox_head=head,
        test_cfg=TEST_CFG | test_cfg,
    )
    init_default_scope('mmdet')
    torch.manual_seed(0)
    built = randomize(revert_sync_batchnorm(build_model(Config(dict(model=model)))))
    with torch.no_grad():
        for layer in built.bbox_head.modules():
            if isinstance(layer, torch.nn.Conv2d) and layer.out_channels % CLASSES == 0:
                layer.weight.normal_(std=0.3)
                layer.bias.zero_()
    built.eval()
    return built
