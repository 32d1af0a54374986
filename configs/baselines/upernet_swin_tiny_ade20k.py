# upernet_repnext_tiny_ade20k with Swin-T instead.
_base_ = ['../upernet_repnext_tiny_ade20k.py', '../_base_/backbones/swin_tiny.py']

model = dict(
    backbone=dict(_delete_=True, **dict(_base_.backbone, drop_path_rate=0.3)),
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=1.0))
