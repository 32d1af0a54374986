# MobileNetV2, from the ImageNet weights of mmpretrain.
checkpoint = (
    'https://download.openmmlab.com/mmclassification/v0/'
    'mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth'
)
channels = [24, 32, 96, 320]
backbone = dict(
    type='mmpretrain.MobileNetV2',
    out_indices=(1, 2, 4, 6),
    norm_cfg=dict(type='SyncBN', requires_grad=True),
    init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.'),
)
find_unused_parameters = True  # those of the last convolution, whose output no head reads
