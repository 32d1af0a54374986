# The author's table of ImageWoof; published values are the author's, speeds of an RTX 2060.
_base_ = '../_base_/tables/classification.py'

title = 'ImageWoof'
description = (
    'Image classification at 224x224. Published values are those of the author, whose images per '
    'second are of an RTX 2060.'
)
shape = (224, 224)
rows = [
    dict(
        name='ResNet50',
        config='../repnext_tiny_imagewoof.py',
        backbone='resnet50',
        published={
            '#param.': '25.6M',
            'FLOPs': '4.1B',
            'images/s': '73.7',
            'top1 acc': '87.7',
            'top5 acc': '98.7',
        },
    ),
    dict(
        name='ConvNeXt_tiny',
        config='../repnext_tiny_imagewoof.py',
        backbone='convnext_tiny',
        published={
            '#param.': '28.6M',
            'FLOPs': '4.5B',
            'images/s': '78.7',
            'top1 acc': '82.3 to 88.0',
            'top5 acc': '98.0',
        },
    ),
    dict(
        name='RepNeXtV1_tiny',
        config='../repnext_tiny_imagewoof.py',
        backbone='repnext_tiny',
        published={
            '#param.': '28.4M --> 51.6M',
            'FLOPs': '4.4B --> 8.2B',
            'images/s': '65.4 --> 101.6',
            'top1 acc': '90.5',
            'top5 acc': '99.0',
        },
    ),
    dict(
        name='RepNeXtV2_tiny',
        config='../repnext_tiny_imagewoof.py',
        backbone='repnext_tiny_v2',
        published={'#param.': '28.4M --> 51.6M', 'top1 acc': '90.7'},
    ),
    dict(
        name='RepNeXtV3_tiny',
        config='../repnext_tiny_imagewoof.py',
        backbone='repnext_tiny_v3',
        published={'top1 acc': '90.8'},
    ),
    dict(
        name='RepLKNet_tiny',
        config='../repnext_tiny_imagewoof.py',
        backbone='replknet_tiny_without_rep',
        published={'#param.': '44.0M', 'top1 acc': '84.9'},
    ),
    dict(
        name='RepLKNet_tiny_3rep',
        config='../repnext_tiny_imagewoof.py',
        backbone='replknet_tiny',
        published={'#param.': '44.0M', 'top1 acc': '85.6'},
    ),
]
