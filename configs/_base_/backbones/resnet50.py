# ResNet-50, from torchvision's ImageNet weights.
channels = [256, 512, 1024, 2048]
backbone = dict(
    type='mmpretrain.ResNet',
    depth=50,
    out_indices=(0, 1, 2, 3),
    norm_cfg=dict(type='SyncBN', requires_grad=True),
    init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
)
