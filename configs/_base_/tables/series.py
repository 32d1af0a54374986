# The backbones of the author's tables of detection and segmentation, for one recipe.
rows = [
    dict(name=name, backbone=backbone)
    for name, backbone in (
        ('ResNet-50', 'resnet50'),
        ('MobileNetV2', 'mobilenet_v2'),
        ('EfficientNet-B0', 'efficientnet_b0'),
        ('ViT-B', 'vit_base'),
        ('Swin-T', 'swin_tiny'),
        ('ConvNeXt-T', 'convnext_tiny'),
        ('RepVGG-A2', 'repvgg_a2'),
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
        ('RepNeXtV1_tiny', 'repnext_tiny'),
        ('RepNeXtV2_tiny', 'repnext_tiny_v2'),
        ('RepNeXtV3_tiny', 'repnext_tiny_v3'),
    )
]
