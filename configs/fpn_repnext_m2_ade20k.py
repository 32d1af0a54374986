# Semantic FPN, RepNeXt-M2, official recipe: 80k iterations, 512x512, from ImageNet weights.
_base_ = [
    './_base_/models/semantic_fpn_repnext.py',
    './_base_/datasets/ade20k_aligned.py',
    './_base_/schedules/repnext_m_80k.py',
    './_base_/segmentation_runtime.py',
    './_base_/pretrained.py',
]
checkpoint = f'{_base_.pretrained}/repnext_m2.pth'

model = dict(
    backbone=dict(arch='m2', init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    neck=dict(in_channels=[56, 112, 224, 448]),
)
