# RepVGG-A2, from the ImageNet weights of mmpretrain.
checkpoint = (
    'https://download.openmmlab.com/mmclassification/v0/'
    'repvgg/repvgg-A2_8xb32_in1k_20221213-a8767caf.pth'
)
channels = [96, 192, 384, 1408]
backbone = dict(
    type='mmpretrain.RepVGG',
    arch='A2',
    out_indices=(0, 1, 2, 3),
    init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.'),
)
sync_bn = 'torch'  # not through norm_cfg: mmpretrain's RepVGG merges only what is called BN
