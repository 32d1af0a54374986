# pspnet_repnext_tiny_cityscapes with RepNeXt-M5, from ImageNet weights.
_base_ = ['./pspnet_repnext_tiny_cityscapes.py', './_base_/pretrained.py']
checkpoint = f'{_base_.pretrained}/repnext_m5.pth'

model = dict(
    backbone=dict(arch='m5', init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    decode_head=dict(in_channels=640),
    auxiliary_head=dict(in_channels=320),
)
