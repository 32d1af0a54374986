# pspnet_repvgg_b2_cityscapes, the "fast" form of the paper: only its last five layers dilated.
_base_ = './pspnet_repvgg_b2_cityscapes.py'

model = dict(backbone=dict(dilated_layers=5))
