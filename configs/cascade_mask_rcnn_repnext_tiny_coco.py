# Cascade Mask R-CNN, RepNeXt-T, 3x: 36 epochs, multi-scale crops, 4conv1fc heads.
_base_ = [
    './_base_/models/cascade_mask_rcnn_repnext_fpn_4conv1fc.py',
    './_base_/datasets/coco_instance_multiscale.py',
    './_base_/schedules/cascade_3x.py',
    './_base_/default_runtime.py',
]

globals().update(__import__('repnext_mm.configs').configs.with_backbone(_base_, 'repnext_tiny'))
