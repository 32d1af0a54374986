# PSPNet at output stride 8 as in mmseg's pspnet_r50-d8, for PSPNet's own crops of 713x713.
num_classes = 19
norm_cfg = dict(type='SyncBN', requires_grad=True)
head = dict(dropout_ratio=0.1, num_classes=num_classes, norm_cfg=norm_cfg, align_corners=False)

model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(713, 713),
    ),
    backbone=dict(
        type='repnext_mm.RepNeXt',
        arch='tiny',
        out_indices=(2, 3),
        output_stride=8,
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        **head,
        type='PSPHead',
        in_channels=768,
        in_index=1,
        channels=512,
        pool_scales=(1, 2, 3, 6),
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    ),
    auxiliary_head=dict(
        **head,
        type='FCNHead',
        in_channels=384,
        in_index=0,
        channels=256,
        num_convs=1,
        concat_input=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='slide', crop_size=(713, 713), stride=(476, 476)),
)
