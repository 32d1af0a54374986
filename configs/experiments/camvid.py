# UperNet and Semantic FPN with slim backbones on CamVid, from scratch.
_base_ = '../_base_/tables/segmentation.py'

title = 'CamVid'
description = (
    "The author's table of ADE20K at a small scale: slim backbones, narrow heads, images of "
    '240x180, 200 iterations of 8 crops of 160x160 from scratch.'
)
shape = (160, 160)
seeds = (0, 1)
files = ('onnx', 'int8')
quantize_arguments = ('--images', '32', '--rounds', '1', '--no-search')
rows = [
    dict(name=f'{method}-{name}', config=f'../small/{prefix}_{backbone}_slim_camvid.py')
    for method, prefix in (('UperNet', 'upernet'), ('FPN', 'fpn'))
    for name, backbone in (
        ('RepNeXt', 'repnext'),
        ('RepNeXt_M0', 'repnext_m'),
        ('ResNet18', 'resnet18'),
    )
]
