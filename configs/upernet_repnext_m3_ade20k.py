# UperNet, RepNeXt-M3: 160k iterations, 512x512, from ImageNet weights.
_base_ = [
    './_base_/models/upernet_repnext.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/repnext_m_160k.py',
    './_base_/segmentation_runtime.py',
    './_base_/pretrained.py',
]

model = dict(
    backbone=dict(
        arch='m3',
        drop_path_rate=0.0,
        init_cfg=dict(type='Pretrained', checkpoint=f'{_base_.pretrained}/repnext_m3.pth'),
    ),
    decode_head=dict(in_channels=[64, 128, 256, 512]),
    auxiliary_head=dict(in_channels=256),
)
