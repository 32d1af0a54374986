# pspnet_repnext_tiny_cityscapes with RepVGG-B2 instead, all of its last two stages dilated.
_base_ = './pspnet_repvgg_b1g2_cityscapes.py'
weights = _base_.published + 'B2_8xb32_in1k_20221213-d8b420ef.pth'

model = dict(
    backbone=dict(arch='B2', init_cfg=dict(checkpoint=weights)),
    decode_head=dict(in_channels=2560),
    auxiliary_head=dict(in_channels=640),
)
