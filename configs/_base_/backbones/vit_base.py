# ViT-B/16, from the ImageNet weights of mmpretrain.
checkpoint = (
    'https://download.openmmlab.com/mmclassification/v0/'
    'vit/vit-base-p16_pt-32xb128-mae_in1k_20220623-4c544545.pth'
)
channels = [768, 768, 768, 768]
backbone = dict(
    type='mmpretrain.VisionTransformer',
    arch='b',
    img_size=224,
    patch_size=16,
    out_type='featmap',
    out_indices=(2, 5, 8, 11),
    drop_path_rate=0.1,
    init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.'),
)
# Four scales without connections between them, as in mmseg's ViT configs; detectors map each
# to 256 channels.
pyramid = dict(
    type='mmseg.Feature2Pyramid',
    embed_dim=768,
    rescales=[4, 2, 1, 0.5],
    norm_cfg=dict(type='SyncBN', requires_grad=True),
)
neck = [
    pyramid,
    dict(
        type='ChannelMapper',
        in_channels=channels,
        out_channels=256,
        kernel_size=3,
        act_cfg=None,
        num_outs=5,
    ),
]
