# cascade_mask_rcnn_repnext_tiny_coco with ConvNeXt-T instead.
_base_ = ['../cascade_mask_rcnn_repnext_tiny_coco.py', '../_base_/backbones/convnext_tiny.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.backbone),
    neck=dict(in_channels=_base_.channels),
)
