# upernet_repnext_tiny_ade20k with ViT-B/16 instead; four scales from four layers, as mmseg's MAE and BEiT have it.
_base_ = ['../upernet_repnext_tiny_ade20k.py', '../_base_/backbones/vit_base.py']

model = dict(
    backbone=dict(_delete_=True, **dict(_base_.backbone, out_indices=(2, 5, 8, 11))),
    neck=dict(
        type='Feature2Pyramid',
        embed_dim=768,
        rescales=[4, 2, 1, 0.5],
        norm_cfg=dict(type='SyncBN', requires_grad=True),
    ),
    decode_head=dict(in_channels=[768, 768, 768, 768]),
    auxiliary_head=dict(in_channels=768),
)
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True, decay_rate=0.9, decay_type='layer_wise'))
