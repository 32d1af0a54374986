# UperNet with RepNeXt-M3, on data of your own: tools/train.py THIS --data FOLDER.
_base_ = [
    '../_base_/models/upernet_repnext.py',
    '../_base_/backbones/repnext_m3.py',
    '../_base_/datasets/own_label_maps.py',
    '../_base_/schedules/own.py',
    '../_base_/small_segmentation_runtime.py',
]
own_data = dict(
    task='label_maps', learning_rate=1e-4, rate_batch=16, without_gpu='upernet_repnext_slim.py'
)
model = dict(
    backbone=dict(_delete_=True, **_base_.backbone),
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
