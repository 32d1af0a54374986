# A slim RepNeXt-T on CIFAR-10, 32x32, 2 epochs from scratch.
_base_ = [
    '../_base_/models/classifier_small.py',
    '../_base_/backbones/repnext_slim.py',
    '../_base_/datasets/cifar10.py',
    '../_base_/schedules/adamw_2e.py',
    '../_base_/classification_runtime.py',
]

model = dict(backbone=_base_.backbone, head=dict(in_channels=_base_.channels[-1]))
