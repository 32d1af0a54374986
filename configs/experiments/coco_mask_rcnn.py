# The author's table of COCO with Mask R-CNN, 3x; published values are those of the networks' papers.
_base_ = ['../_base_/tables/instances.py', '../_base_/tables/series.py']

title = 'COCO, Mask R-CNN'
description = (
    'Mask R-CNN with the 3x recipe of ConvNeXt-T for all backbones but RepNeXt-M, which has its '
    'own 1x recipe. Published values are those of the papers of ConvNeXt, Swin and RepNeXt-M.'
)
shape = (800, 1280)
files = ('onnx', 'int8')
rows = [
    dict(
        **row,
        config='../mask_rcnn_repnext_tiny_3x_coco.py',
        published={
            'ResNet-50': {'AP(box)': '40.9', 'AP(mask)': '37.1'},
            'Swin-T': {'AP(box)': '46.0', 'AP(mask)': '41.6'},
            'ConvNeXt-T': {'AP(box)': '46.2', 'AP(mask)': '41.7'},
        }.get(row['name'], {}),
    )
    for row in _base_.rows
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
