# mask_rcnn_repnext_tiny_3x_coco with Swin-T instead.
_base_ = '../mask_rcnn_repnext_tiny_3x_coco.py'

globals().update(__import__('repnext_mm.configs').configs.with_backbone(_base_, 'swin_tiny'))
