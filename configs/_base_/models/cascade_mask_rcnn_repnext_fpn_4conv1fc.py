# cascade_mask_rcnn_repnext_fpn with the box heads of ConvNeXt's and Swin's recipes.
_base_ = './cascade_mask_rcnn_repnext_fpn.py'

conv_box_head = dict(
    type='ConvFCBBoxHead',
    num_shared_convs=4,
    num_shared_fcs=1,
    in_channels=256,
    conv_out_channels=256,
    fc_out_channels=1024,
    roi_feat_size=7,
    num_classes=_base_.num_classes,
    reg_class_agnostic=False,
    reg_decoded_bbox=True,
    norm_cfg=_base_.norm_cfg,
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    loss_bbox=dict(type='GIoULoss', loss_weight=10.0),
)

model = dict(
    roi_head=dict(
        bbox_head=[dict(**conv_box_head, bbox_coder=box_coder) for box_coder in _base_.box_coders]
    )
)
