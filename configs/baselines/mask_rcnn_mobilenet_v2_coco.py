# mask_rcnn_repnext_tiny_3x_coco with MobileNetV2 instead.
_base_ = ['../mask_rcnn_repnext_tiny_3x_coco.py', '../_base_/backbones/mobilenet_v2.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.backbone),
    neck=dict(in_channels=_base_.channels),
)
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=1.0))
