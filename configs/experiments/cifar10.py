# Slim networks of equal width and about equal arithmetic on CIFAR-10, two epochs from scratch.
_base_ = '../_base_/tables/classification.py'

title = 'CIFAR-10'
description = (
    'Slim networks of equal width, with about the same parameters and arithmetic, trained from '
    'scratch for two epochs on all 50,000 images of 32x32, tested on all 10,000: what a processor '
    'core manages in minutes, not what these networks can reach. The question: does the order '
    'V3 > V2 > V1 > ER of the author appear?'
)
shape = (32, 32)
seeds = (0, 1, 2)
files = ('onnx', 'int8')
quantize_arguments = ('--images', '64', '--rounds', '1')
quantize_options = {'test_dataloader.dataset.indices': 1000}
rows = [
    dict(
        name=name,
        config='../small/repnext_slim_cifar10.py',
        options={'model.backbone.arch.variant': arch},
    )
    for name, arch in (
        ('RepNeXtV3_slim', 'tiny_v3'),
        ('RepNeXtV2_slim', 'tiny_v2'),
        ('RepNeXtV1_slim', 'tiny'),
        ('ConvNeXtER_slim', 'convnext_er_tiny'),
    )
]
rows += [
    dict(name='ConvNeXt_slim', config='../small/convnext_slim_cifar10.py'),
    dict(name='ResNet18_slim', config='../small/resnet18_slim_cifar10.py'),
    dict(name='RepNeXt_M0_slim', config='../small/repnext_m_slim_cifar10.py'),
]
