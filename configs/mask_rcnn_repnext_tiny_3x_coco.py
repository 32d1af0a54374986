# Mask R-CNN, RepNeXt-T, 3x: 36 epochs, multi-scale crops.
_base_ = [
    './_base_/models/mask_rcnn_repnext_fpn.py',
    './_base_/datasets/coco_instance_multiscale.py',
    './_base_/schedules/adamw_3x.py',
    './_base_/default_runtime.py',
]

globals().update(__import__('repnext_mm.configs').configs.with_backbone(_base_, 'repnext_tiny'))
