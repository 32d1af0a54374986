# UperNet, RepNeXt-M5: 160k iterations, 512x512, from ImageNet weights.
_base_ = [
    './_base_/models/upernet_repnext.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/repnext_m_160k.py',
    './_base_/segmentation_runtime.py',
    './_base_/pretrained.py',
]

model = dict(
    backbone=dict(
        arch='m5',
        drop_path_rate=0.0,
        init_cfg=dict(type='Pretrained', checkpoint=f'{_base_.pretrained}/repnext_m5.pth'),
    ),
    decode_head=dict(in_channels=[80, 160, 320, 640]),
    auxiliary_head=dict(in_channels=320),
)
