# Swin-T, from the ImageNet weights of mmpretrain.
checkpoint = (
    'https://download.openmmlab.com/mmclassification/v0/'
    'swin-transformer/swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth'
)
channels = [96, 192, 384, 768]
backbone = dict(
    type='mmpretrain.SwinTransformer',
    arch='tiny',
    img_size=224,
    out_indices=(0, 1, 2, 3),
    drop_path_rate=0.2,
    pad_small_map=True,
    init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.'),
)
