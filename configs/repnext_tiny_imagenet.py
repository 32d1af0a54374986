# RepNeXt-T on ImageNet, ConvNeXt's recipe: 300 epochs.
_base_ = [
    './_base_/models/classifier_repnext_t.py',
    './_base_/datasets/imagenet.py',
    './_base_/schedules/convnext_300e.py',
    './_base_/classification_runtime.py',
]

globals().update(__import__('repnext_mm.configs').configs.with_backbone(_base_, 'repnext_tiny'))
