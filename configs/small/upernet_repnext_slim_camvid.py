# UperNet with a slim RepNeXt-T on CamVid, 200 iterations from scratch.
_base_ = [
    '../_base_/models/upernet_small.py',
    '../_base_/backbones/repnext_slim_pyramid.py',
    '../_base_/datasets/camvid.py',
    '../_base_/schedules/adamw_200.py',
    '../_base_/small_segmentation_runtime.py',
]

model = dict(
    backbone=dict(_delete_=True, **_base_.backbone),
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
