# RepNeXt-M3 on ImageNet, published recipe with hard distillation: 300 epochs.
_base_ = [
    './_base_/models/distilled_repnext.py',
    './_base_/datasets/imagenet_repeated.py',
    './_base_/schedules/repnext_m_300e.py',
    './_base_/classification_runtime.py',
]

model = dict(backbone=dict(arch='m3'), head=dict(in_channels=512))
