# mask_rcnn_repnext_tiny_3x_coco with ViT-B/16 instead.
_base_ = ['../mask_rcnn_repnext_tiny_3x_coco.py', '../_base_/backbones/vit_base.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.backbone),
    neck=_base_.neck,
)
