# Cascade Mask R-CNN with the heads and regions of mask_rcnn_small.
_base_ = './cascade_mask_rcnn_repnext_fpn.py'

width = 64
norm = dict(type='BN')
rois = dict(roi_layer=dict(sampling_ratio=2), out_channels=width)
slim_box_head = dict(_base_.fc_box_head, in_channels=width, fc_out_channels=256, num_classes=1)

model = dict(
    neck=dict(out_channels=width, norm_cfg=norm),
    rpn_head=dict(in_channels=width, feat_channels=width, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=rois,
        mask_roi_extractor=rois,
        bbox_head=[dict(slim_box_head, bbox_coder=coder) for coder in _base_.box_coders],
        mask_head=dict(in_channels=width, conv_out_channels=width, num_convs=2, num_classes=1),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=500, max_per_img=300),
        rcnn=[dict(stage, sampler=dict(stage['sampler'], num=64)) for stage in _base_.box_sampling],
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)),
)
