# RepNeXt-M0 on ImageNet from a teacher's soft labels alone (SSLD), schedule of hard distillation.
_base_ = [
    './_base_/models/soft_distilled_repnext.py',
    './_base_/datasets/imagenet_repeated.py',
    './_base_/schedules/repnext_m_300e.py',
    './_base_/classification_runtime.py',
]

model = dict(backbone=dict(arch='m0'), head=dict(in_channels=320))
