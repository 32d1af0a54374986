# Mask R-CNN with RepNeXt-M3, on data of your own: tools/train.py THIS --data FOLDER.
_base_ = [
    '../_base_/models/mask_rcnn_repnext_fpn.py',
    '../_base_/backbones/repnext_m3.py',
    '../_base_/datasets/own_instances.py',
    '../_base_/schedules/own.py',
    '../_base_/small_detection_runtime.py',
]
own_data = dict(
    task='instances', learning_rate=1e-4, rate_batch=16, without_gpu='mask_rcnn_repnext_slim.py'
)
model = dict(
    backbone=dict(_delete_=True, **_base_.backbone), neck=dict(in_channels=_base_.channels)
)
