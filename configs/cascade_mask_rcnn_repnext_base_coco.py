# cascade_mask_rcnn_repnext_tiny_coco, RepNeXt-B; the rates of ConvNeXt-B.
_base_ = './cascade_mask_rcnn_repnext_tiny_coco.py'

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.7),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
optim_wrapper = dict(paramwise_cfg=dict(decay_rate=0.8))
