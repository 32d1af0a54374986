# mask_rcnn_repnext_tiny_3x_coco with ConvNeXt-T instead.
_base_ = ['../mask_rcnn_repnext_tiny_3x_coco.py', '../_base_/backbones/convnext_tiny.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.backbone),
    neck=dict(in_channels=_base_.channels),
)
