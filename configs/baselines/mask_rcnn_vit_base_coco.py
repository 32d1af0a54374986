# mask_rcnn_repnext_tiny_3x_coco with ViT-B/16 instead, and ViTDet's simple feature pyramid.
_base_ = '../mask_rcnn_repnext_tiny_3x_coco.py'

globals().update(__import__('repnext_mm.configs').configs.with_backbone(_base_, 'vit_base'))
