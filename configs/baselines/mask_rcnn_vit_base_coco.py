# mask_rcnn_repnext_tiny_3x_coco with ViT-B/16 instead, and ViTDet's simple feature pyramid.
_base_ = ['../mask_rcnn_repnext_tiny_3x_coco.py', '../_base_/backbones/vit_base.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.backbone),
    neck=dict(_delete_=True, type='repnext_mm.SimpleFeaturePyramid', in_channels=768),
)
