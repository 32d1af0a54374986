# EfficientNet-B0, from the ImageNet weights of mmpretrain.
checkpoint = (
    'https://download.openmmlab.com/mmclassification/v0/'
    'efficientnet/efficientnet-b0_3rdparty_8xb32_in1k_20220119-a7e2a0b1.pth'
)
channels = [24, 40, 112, 320]
backbone = dict(
    type='mmpretrain.EfficientNet',
    arch='b0',
    out_indices=(2, 3, 4, 5),
    norm_cfg=dict(type='SyncBN', requires_grad=True, eps=1e-3),
    init_cfg=dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.'),
)
find_unused_parameters = True  # those of the last convolution, whose output no head reads
