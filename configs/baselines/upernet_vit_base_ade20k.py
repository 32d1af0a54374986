# upernet_repnext_tiny_ade20k with ViT-B/16 instead.
_base_ = ['../upernet_repnext_tiny_ade20k.py', '../_base_/backbones/vit_base.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.backbone),
    neck=_base_.pyramid,
    decode_head=dict(in_channels=_base_.channels),
    auxiliary_head=dict(in_channels=_base_.channels[2]),
)
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True, decay_rate=0.9, decay_type='layer_wise'))
