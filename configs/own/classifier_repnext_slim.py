# Classifier with a slim RepNeXt-T from scratch, on data of your own: tools/train.py THIS --data FOLDER.
_base_ = [
    '../_base_/models/classifier_small.py',
    '../_base_/backbones/repnext_slim_pyramid.py',
    '../_base_/datasets/own_classes.py',
    '../_base_/schedules/own.py',
    '../_base_/small_classification_runtime.py',
]
own_data = dict(task='classes', learning_rate=2e-3, rate_batch=32)
model = dict(
    backbone=dict(**_base_.backbone, out_indices=(3,)), head=dict(in_channels=_base_.channels[-1])
)
