# pspnet_repnext_tiny_cityscapes with RepNeXt-M3, from ImageNet weights.
_base_ = ['./pspnet_repnext_tiny_cityscapes.py', './_base_/pretrained.py']
checkpoint = f'{_base_.pretrained}/repnext_m3.pth'

model = dict(
    backbone=dict(arch='m3', init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    decode_head=dict(in_channels=512),
    auxiliary_head=dict(in_channels=256),
)
