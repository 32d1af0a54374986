# ViT-B/16, from the ImageNet weights of mmpretrain.
checkpoint = (
    'https://download.openmmlab.com/mmclassification/v0/'
    'vit/vit-base-p16_pt-32xb128-mae_in1k_20220623-4c544545.pth'
)
backbone = dict(
    type='mmpretrain.VisionTransformer',
    arch='b',
    img_size=224,
    patch_size=16,
    out_type='featmap',
    out_indices=-1,
    drop_path_rate=0.1,
    init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.'),
)
