# The author's table of ImageNet; published values are the author's and the papers'.
_base_ = '../_base_/tables/classification.py'

title = 'ImageNet'
description = (
    'Image classification at 224x224. Published values are those of the author for RepNeXt-T and '
    'those of the papers for the others.'
)
shape = (224, 224)
files = ('onnx', 'int8')
rows = [
    dict(name=name, published={'top1 acc': accuracy})
    for name, accuracy in (
        ('SwinT_tiny', '81.3'),
        ('ConvNeXt_tiny', '82.1'),
        ('ConvNeXtER_tiny', '81.6'),
        ('RepNeXtV1_tiny', '81.7'),
        ('RepNeXtV2_tiny', '81.8'),
        ('RepNeXtV3_tiny', '81.9'),
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
