# cascade_mask_rcnn_repnext_tiny_coco with Swin-T instead.
_base_ = ['../cascade_mask_rcnn_repnext_tiny_coco.py', '../_base_/backbones/swin_tiny.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.backbone),
    neck=dict(in_channels=_base_.channels),
)
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=1.0))
