# UperNet for small images of eleven classes, with narrow heads. The backbone is chosen by those
# who inherit.
_base_ = './upernet_repnext.py'

width, classes_here, norm = 48, 11, dict(type='BN')

model = dict(
    data_preprocessor=dict(size=(160, 160)),
    decode_head=dict(channels=width, num_classes=classes_here, norm_cfg=norm),
    auxiliary_head=dict(channels=width, num_classes=classes_here, norm_cfg=norm),
    test_cfg=dict(crop_size=(160, 160), stride=(106, 106)),
)
