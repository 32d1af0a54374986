# The author's table of ADE20K with UperNet; published values are those of the papers.
_base_ = ['../_base_/tables/segmentation.py', '../_base_/tables/series.py']

title = 'ADE20K, UperNet'
description = (
    'UperNet with the recipe of ConvNeXt-T, 160k iterations, tested at one scale. Published values '
    'are those of the papers of ConvNeXt and Swin; there is none of RepNeXt.'
)
shape = (512, 512)
files = ('onnx', 'int8')
rows = [
    dict(
        **row,
        config='../upernet_repnext_tiny_ade20k.py',
        published={
            'ResNet-50': {'mIoU': '42.05'},
            'Swin-T': {'mIoU': '44.5'},
            'ConvNeXt-T': {'mIoU': '46.0'},
        }.get(row['name'], {}),
    )
    for row in _base_.rows
]
rows += [
    dict(name=f'RepNeXt_{arch}', config=f'../upernet_repnext_{arch}_ade20k.py')
    for arch in ('small', 'base', 'm3', 'm4', 'm5')
]
