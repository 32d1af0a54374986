# pspnet_repnext_tiny_cityscapes with ResNet-101 of PSPNet (deep stem) instead.
_base_ = './pspnet_resnet50_cityscapes.py'
init_cfg = dict(type='Pretrained', checkpoint='open-mmlab://resnet101_v1c')

model = dict(backbone=dict(depth=101, init_cfg=init_cfg))
