# UperNet with a slim RepNeXt-T from scratch, on data of your own: tools/train.py THIS --data FOLDER.
_base_ = [
    '../_base_/models/upernet_small.py',
    '../_base_/backbones/repnext_slim_pyramid.py',
    '../_base_/datasets/own_label_maps.py',
    '../_base_/schedules/own.py',
    '../_base_/small_segmentation_runtime.py',
]
own_data = dict(task='label_maps', learning_rate=2e-3, rate_batch=8)
model = dict(
    backbone=dict(_delete_=True, **_base_.backbone),
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
