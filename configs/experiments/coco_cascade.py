# The author's table of COCO with Cascade Mask R-CNN; published values are those of the papers.
_base_ = ['../_base_/tables/instances.py', '../_base_/tables/series.py']

title = 'COCO, Cascade Mask R-CNN'
description = (
    'Cascade Mask R-CNN with the 3x recipe of ConvNeXt-T. Published values are those of the papers '
    'of ConvNeXt and Swin; there is none of RepNeXt.'
)
shape = (800, 1280)
files = ('onnx', 'int8')
rows = [
    dict(
        **row,
        config='../cascade_mask_rcnn_repnext_tiny_coco.py',
        published={
            'ResNet-50': {'AP(box)': '44.3', 'AP(mask)': '38.5'},
            'Swin-T': {'AP(box)': '50.4', 'AP(mask)': '43.7'},
            'ConvNeXt-T': {'AP(box)': '50.4', 'AP(mask)': '43.7'},
        }.get(row['name'], {}),
    )
    for row in _base_.rows
]
rows += [
    dict(name=f'RepNeXt_{arch}', config=f'../cascade_mask_rcnn_repnext_{arch}_coco.py')
    for arch in ('small', 'base', 'm3', 'm4', 'm5')
]
