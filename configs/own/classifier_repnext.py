# Classifier with RepNeXt-M3, on data of your own: tools/train.py THIS --data FOLDER.
_base_ = [
    '../_base_/models/classifier_small.py',
    '../_base_/backbones/repnext_m3.py',
    '../_base_/datasets/own_classes.py',
    '../_base_/schedules/own.py',
    '../_base_/small_classification_runtime.py',
]
own_data = dict(
    task='classes', learning_rate=5e-4, rate_batch=128, without_gpu='classifier_repnext_slim.py'
)
model = dict(
    backbone=dict(**_base_.backbone, out_indices=-1), head=dict(in_channels=_base_.channels[-1])
)
