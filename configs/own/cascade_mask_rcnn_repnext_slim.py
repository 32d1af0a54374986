# Cascade Mask R-CNN with a slim RepNeXt-T from scratch, on data of your own: tools/train.py THIS --data FOLDER.
_base_ = [
    '../_base_/models/cascade_mask_rcnn_small.py',
    '../_base_/backbones/repnext_slim_pyramid.py',
    '../_base_/datasets/own_instances.py',
    '../_base_/schedules/own.py',
    '../_base_/small_detection_runtime.py',
]
own_data = dict(task='instances', learning_rate=2e-3, rate_batch=4)
model = dict(
    backbone=dict(_delete_=True, **_base_.backbone), neck=dict(in_channels=_base_.channels)
)
