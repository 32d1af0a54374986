# Mask R-CNN, RepNeXt-M4, official recipe: 12 epochs, one scale, from ImageNet weights.
_base_ = [
    './_base_/models/mask_rcnn_repnext_fpn.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/repnext_m_1x.py',
    './_base_/default_runtime.py',
    './_base_/pretrained.py',
]
model = dict(
    backbone=dict(
        arch='m4',
        drop_path_rate=0.0,
        norm_eval=True,
        merge_frozen_norms=True,
        init_cfg=dict(type='Pretrained', checkpoint=f'{_base_.pretrained}/repnext_m4.pth'),
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
