# The author's table of ADE20K with UperNet; published values are those of the papers.
_base_ = '../_base_/tables/segmentation.py'

title = 'ADE20K, UperNet'
description = (
    'UperNet with the recipe of ConvNeXt-T, 160k iterations, tested at one scale. Published values '
    'are those of the papers of ConvNeXt and Swin; there is none of RepNeXt.'
)
shape = (512, 512)
files = ('onnx', 'int8')
rows = [
    dict(
        name='ResNet-50',
        config='../baselines/upernet_resnet50_ade20k.py',
        published={'mIoU': '42.05'},
    ),
    dict(name='MobileNetV2', config='../baselines/upernet_mobilenet_v2_ade20k.py'),
    dict(name='EfficientNet-B0', config='../baselines/upernet_efficientnet_b0_ade20k.py'),
    dict(name='ViT-B', config='../baselines/upernet_vit_base_ade20k.py'),
    dict(
        name='Swin-T',
        config='../baselines/upernet_swin_tiny_ade20k.py',
        published={'mIoU': '44.5'},
    ),
    dict(
        name='ConvNeXt-T',
        config='../baselines/upernet_convnext_tiny_ade20k.py',
        published={'mIoU': '46.0'},
    ),
    dict(name='RepVGG-A2', config='../baselines/upernet_repvgg_a2_ade20k.py'),
]
rows += [
    dict(name=name, config='../upernet_repnext_tiny_ade20k.py', backbone=backbone)
    for name, backbone in (
        ('ResNet-18', 'resnet18'),
        ('ResNet-34', 'resnet34'),
        ('ResNet-101', 'resnet101'),
        ('MobileNetV3-S', 'mobilenet_v3_small'),
        ('MobileNetV3-L', 'mobilenet_v3_large'),
        ('EfficientNet-B1', 'efficientnet_b1'),
        ('EfficientNet-B2', 'efficientnet_b2'),
        ('EfficientNet-B3', 'efficientnet_b3'),
        ('EfficientNetV2-S', 'efficientnet_v2_s'),
        ('ViT-S', 'vit_small'),
        ('Swin-S', 'swin_small'),
        ('Swin-B', 'swin_base'),
        ('RepViT-M1.1', 'repvit_m1_1'),
        ('RepViT-M1.5', 'repvit_m1_5'),
    )
]
rows += [
    dict(
        name=f'RepNeXt{version}_tiny',
        config='../upernet_repnext_tiny_ade20k.py',
        options={'model.backbone.arch': arch},
    )
    for version, arch in (('V1', 'tiny'), ('V2', 'tiny_v2'), ('V3', 'tiny_v3'))
]
rows += [
    dict(name=f'RepNeXt_{arch}', config=f'../upernet_repnext_{arch}_ade20k.py')
    for arch in ('small', 'base', 'm3', 'm4', 'm5')
]
