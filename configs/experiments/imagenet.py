# The author's table of ImageNet; published values are the author's and the papers'.
_base_ = '../_base_/tables/classification.py'

title = 'ImageNet'
description = (
    'Image classification at 224x224. Published values are those of the author for RepNeXt-T and '
    'those of the papers for the others.'
)
shape = (224, 224)
rows = [
    dict(name=name, config='../repnext_tiny_imagenet.py', backbone=backbone)
    for name, backbone in (
        ('ResNet50', 'resnet50'),
        ('EfficientNet_B0', 'efficientnet_b0'),
        ('EfficientNet_B1', 'efficientnet_b1'),
        ('EfficientNet_B2', 'efficientnet_b2'),
        ('EfficientNet_B3', 'efficientnet_b3'),
        ('ViT_S', 'vit_small'),
        ('ViT_B', 'vit_base'),
        ('RepViT_M1.1', 'repvit_m1_1'),
        ('RepViT_M1.5', 'repvit_m1_5'),
    )
]
rows += [
    dict(
        name=name,
        config='../repnext_tiny_imagenet.py',
        backbone=backbone,
        published={'top1 acc': accuracy},
    )
    for name, backbone, accuracy in (
        ('SwinT_tiny', 'swin_tiny', '81.3'),
        ('ConvNeXt_tiny', 'convnext_tiny', '82.1'),
        ('ConvNeXtER_tiny', 'repnext_convnext_er_tiny', '81.6'),
        ('RepNeXtV1_tiny', 'repnext_tiny', '81.7'),
        ('RepNeXtV2_tiny', 'repnext_tiny_v2', '81.8'),
        ('RepNeXtV3_tiny', 'repnext_tiny_v3', '81.9'),
    )
]
rows += [
    dict(
        name=f'RepNeXt-{arch.upper()}',
        config=f'../repnext_{arch}_imagenet.py',
        published={'top1 acc': accuracy},
    )
    for arch, accuracy in (
        ('m0', '72.6'),
        ('m1', '77.5'),
        ('m2', '78.9'),
        ('m3', '79.4'),
        ('m4', '81.2'),
        ('m5', '82.4'),
    )
]
