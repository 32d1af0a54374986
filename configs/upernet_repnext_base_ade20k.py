# upernet_repnext_tiny_ade20k, RepNeXt-B; the rates of ConvNeXt-B.
_base_ = './upernet_repnext_tiny_ade20k.py'

model = dict(
    backbone=dict(arch='base'),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512),
)
optim_wrapper = dict(paramwise_cfg=dict(num_layers=12))
