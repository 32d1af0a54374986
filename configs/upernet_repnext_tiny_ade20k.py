# UperNet, RepNeXt-T: 160k iterations, 512x512.
_base_ = [
    './_base_/models/upernet_repnext.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/adamw_160k.py',
    './_base_/segmentation_runtime.py',
]

globals().update(__import__('repnext_mm.configs').configs.with_backbone(_base_, 'repnext_tiny'))
