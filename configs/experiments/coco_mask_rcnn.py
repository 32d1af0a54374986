# The author's table of COCO with Mask R-CNN, 3x; published values are those of the networks' papers.
_base_ = '../_base_/tables/instances.py'

title = 'COCO, Mask R-CNN'
description = (
    'Mask R-CNN with the 3x recipe of ConvNeXt-T for all backbones but RepNeXt-M, which has its '
    'own 1x recipe. Published values are those of the papers of ConvNeXt, Swin and RepNeXt-M.'
)
shape = (800, 1280)
files = ('onnx', 'int8')
rows = [
    dict(
        name='ResNet-50',
        config='../baselines/mask_rcnn_resnet50_coco.py',
        published={'AP(box)': '40.9', 'AP(mask)': '37.1'},
    ),
    dict(name='MobileNetV2', config='../baselines/mask_rcnn_mobilenet_v2_coco.py'),
    dict(name='EfficientNet-B0', config='../baselines/mask_rcnn_efficientnet_b0_coco.py'),
    dict(name='ViT-B', config='../baselines/mask_rcnn_vit_base_coco.py'),
    dict(
        name='Swin-T',
        config='../baselines/mask_rcnn_swin_tiny_coco.py',
        published={'AP(box)': '46.0', 'AP(mask)': '41.6'},
    ),
    dict(
        name='ConvNeXt-T',
        config='../baselines/mask_rcnn_convnext_tiny_coco.py',
        published={'AP(box)': '46.2', 'AP(mask)': '41.7'},
    ),
    dict(name='RepVGG-A2', config='../baselines/mask_rcnn_repvgg_a2_coco.py'),
]
rows += [
    dict(name=name, config='../mask_rcnn_repnext_tiny_3x_coco.py', backbone=backbone)
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
        config='../mask_rcnn_repnext_tiny_3x_coco.py',
        options={'model.backbone.arch': arch},
    )
    for version, arch in (('V1', 'tiny'), ('V2', 'tiny_v2'), ('V3', 'tiny_v3'))
]
rows += [
    dict(
        name=f'RepNeXt-{arch.upper()}',
        config=f'../mask_rcnn_repnext_{arch}_coco.py',
        published=dict(
            zip(
                ('AP(box)', 'AP(box50)', 'AP(box75)', 'AP(mask)', 'AP(mask50)', 'AP(mask75)'),
                values.split(),
                strict=True,
            )
        ),
    )
    for arch, values in (
        ('m3', '40.8 62.4 44.7 37.8 59.5 40.6'),
        ('m4', '42.9 64.4 47.2 39.1 61.7 41.7'),
        ('m5', '44.7 66.0 49.2 40.7 63.5 43.6'),
    )
]
