# Cascade Mask R-CNN with a slim RepNeXt-T on nuclei, 200 iterations from scratch.
_base_ = [
    '../_base_/models/cascade_mask_rcnn_small.py',
    '../_base_/backbones/repnext_slim_pyramid.py',
    '../_base_/datasets/nuclei.py',
    '../_base_/schedules/adamw_200.py',
    '../_base_/small_detection_runtime.py',
]

model = dict(
    backbone=dict(_delete_=True, **_base_.backbone), neck=dict(in_channels=_base_.channels)
)
