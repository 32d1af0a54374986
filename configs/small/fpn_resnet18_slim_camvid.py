# Semantic FPN with a slim ResNet-18 on CamVid, 200 iterations from scratch.
_base_ = [
    '../_base_/models/semantic_fpn_small.py',
    '../_base_/backbones/resnet18_slim_pyramid.py',
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/adamw_200.py',
    '../_base_/small_segmentation_runtime.py',
]

model = dict(
    backbone=dict(_delete_=True, **_base_.backbone), neck=dict(in_channels=_base_.channels)
)
