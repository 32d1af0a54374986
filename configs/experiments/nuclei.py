# Mask R-CNN and Cascade Mask R-CNN with slim backbones on nuclei, from scratch.
_base_ = '../_base_/tables/instances.py'

title = 'Nuclei of the 2018 Data Science Bowl'
description = (
    "The author's table of COCO at a small scale: slim backbones, narrow heads, tiles of about "
    '256x256, 200 iterations of 4 tiles from scratch. The split is by a hash of the image ID; '
    'an eighth of the images is for validation.'
)
shape = (256, 256)
seeds = (0, 1)
files = ('onnx', 'int8')
quantize_arguments = ('--images', '32', '--rounds', '1', '--no-search')
rows = [
    dict(name=f'{method}-{name}', config=f'../small/{prefix}_{backbone}_slim_nuclei.py')
    for method, prefix in (('Mask', 'mask_rcnn'), ('Cascade', 'cascade_mask_rcnn'))
    for name, backbone in (
        ('RepNeXt', 'repnext'),
        ('RepNeXt_M0', 'repnext_m'),
        ('ResNet18', 'resnet18'),
        ('MobileNetV2', 'mobilenet_v2'),
    )
]
