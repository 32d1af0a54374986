# pspnet_repnext_tiny_cityscapes with ResNet-50 of PSPNet (deep stem) instead.
_base_ = '../pspnet_repnext_tiny_cityscapes.py'
dilated = dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True)

model = dict(
    backbone=dict(
        **dilated,
        _delete_=True,
        type='ResNetV1c',
        depth=50,
        out_indices=(2, 3),
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet50_v1c'),
    ),
    decode_head=dict(in_channels=2048),
    auxiliary_head=dict(in_channels=1024),
)
