# cascade_mask_rcnn_repnext_tiny_coco with MobileNetV2 instead.
_base_ = '../cascade_mask_rcnn_repnext_tiny_coco.py'

globals().update(__import__('repnext_mm.configs').configs.with_backbone(_base_, 'mobilenet_v2'))
