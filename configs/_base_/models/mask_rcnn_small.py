# Mask R-CNN for small images with small objects of one class: narrow heads, few regions. The
# backbone is chosen by those who inherit.
_base_ = './mask_rcnn_repnext_fpn.py'

width = 64
norm = dict(type='BN')
rois = dict(roi_layer=dict(sampling_ratio=2), out_channels=width)

model = dict(
    neck=dict(out_channels=width, norm_cfg=norm),
    rpn_head=dict(in_channels=width, feat_channels=width, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=rois,
        mask_roi_extractor=rois,
        bbox_head=dict(in_channels=width, fc_out_channels=256, num_classes=1),
        mask_head=dict(in_channels=width, conv_out_channels=width, num_convs=2, num_classes=1),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=500, max_per_img=300),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)),
)
