# The author's table of CIFAR-100; published values are the author's, speeds of an RTX 2060.
_base_ = '../_base_/tables/classification.py'

title = 'CIFAR-100'
description = (
    'Image classification at 96x96. Published values are those of the author, whose images per '
    'second are of an RTX 2060.'
)
shape = (96, 96)
rows = [
    dict(
        name='ResNet50',
        config='../repnext_tiny_cifar100.py',
        backbone='resnet50',
        published={
            '#param.': '25.56M',
            'FLOPs': '756M',
            'images/s': '93.23',
            'top1 acc': '80.51',
            'top5 acc': '95.03',
        },
    ),
    dict(
        name='EfficientNetV2_s',
        config='../repnext_tiny_cifar100.py',
        backbone='efficientnet_v2_s',
        published={
            '#param.': '22.10M',
            'FLOPs': '537M',
            'images/s': '34.98',
            'top1 acc': '80.40',
            'top5 acc': '94.64',
        },
    ),
    dict(
        name='ConvNeXt_tiny',
        config='../repnext_tiny_cifar100.py',
        backbone='convnext_tiny',
        published={
            '#param.': '28.58M',
            'FLOPs': '822M',
            'images/s': '94.98',
            'top1 acc': '81.59',
            'top5 acc': '94.98',
        },
    ),
    dict(
        name='RepNeXtV1_tiny',
        config='../repnext_tiny_cifar100.py',
        backbone='repnext_tiny',
        published={
            '#param.': '28.44M --> 51.55M',
            'FLOPs': '814.15M --> 1.51B',
            'images/s': '78.11 --> 126.82',
            'top1 acc': '82.98',
            'top5 acc': '96.03',
        },
    ),
]
