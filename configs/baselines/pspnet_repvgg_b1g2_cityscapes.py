# pspnet_repnext_tiny_cityscapes with RepVGG-B1g2 instead, all of its last two stages dilated.
_base_ = '../pspnet_repnext_tiny_cityscapes.py'
published = 'https://mmassets.onedl.ai/mmclassification/v0/repvgg/repvgg-'
checkpoint = published + 'B1g2_8xb32_in1k_20221213-ae6428fd.pth'
norm = dict(type='SyncBN', requires_grad=True)

model = dict(
    backbone=dict(
        _delete_=True,
        type='repnext_mm.dilated_repvgg',
        arch='B1g2',
        out_indices=(2, 3),
        norm_cfg=norm,
        init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.'),
    ),
    decode_head=dict(in_channels=2048),
    auxiliary_head=dict(in_channels=512),
)
