# The author's table of COCO with Cascade Mask R-CNN; published values are those of the papers.
_base_ = '../_base_/tables/instances.py'

title = 'COCO, Cascade Mask R-CNN'
description = (
    'Cascade Mask R-CNN with the 3x recipe of ConvNeXt-T. Published values are those of the papers '
    'of ConvNeXt and Swin; there is none of RepNeXt.'
)
shape = (800, 1280)
files = ('onnx', 'int8')
rows = [
    dict(
        name='ResNet-50',
        config='../baselines/cascade_mask_rcnn_resnet50_coco.py',
        published={'AP(box)': '44.3', 'AP(mask)': '38.5'},
    ),
    dict(name='MobileNetV2', config='../baselines/cascade_mask_rcnn_mobilenet_v2_coco.py'),
    dict(name='EfficientNet-B0', config='../baselines/cascade_mask_rcnn_efficientnet_b0_coco.py'),
    dict(name='ViT-B', config='../baselines/cascade_mask_rcnn_vit_base_coco.py'),
    dict(
        name='Swin-T',
        config='../baselines/cascade_mask_rcnn_swin_tiny_coco.py',
        published={'AP(box)': '50.4', 'AP(mask)': '43.7'},
    ),
    dict(
        name='ConvNeXt-T',
        config='../baselines/cascade_mask_rcnn_convnext_tiny_coco.py',
        published={'AP(box)': '50.4', 'AP(mask)': '43.7'},
    ),
    dict(name='RepVGG-A2', config='../baselines/cascade_mask_rcnn_repvgg_a2_coco.py'),
]
rows += [
    dict(name=name, config='../cascade_mask_rcnn_repnext_tiny_coco.py', backbone=backbone)
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
        config='../cascade_mask_rcnn_repnext_tiny_coco.py',
        options={'model.backbone.arch': arch},
    )
    for version, arch in (('V1', 'tiny'), ('V2', 'tiny_v2'), ('V3', 'tiny_v3'))
]
rows += [
    dict(name=f'RepNeXt_{arch}', config=f'../cascade_mask_rcnn_repnext_{arch}_coco.py')
    for arch in ('small', 'base', 'm3', 'm4', 'm5')
]
