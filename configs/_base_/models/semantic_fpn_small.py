# Semantic FPN for small images of eleven classes, with a narrow neck and head. The backbone is
# chosen by those who inherit.
_base_ = './semantic_fpn_repnext.py'

width, norm = 64, dict(type='BN')

model = dict(
    data_preprocessor=dict(size=(160, 160)),
    neck=dict(out_channels=width),
    decode_head=dict(in_channels=[width] * 4, channels=width, num_classes=11, norm_cfg=norm),
)
