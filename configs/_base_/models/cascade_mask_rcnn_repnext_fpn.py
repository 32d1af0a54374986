# Cascade Mask R-CNN with FPN as in mmdet's cascade-mask-rcnn_r50_fpn, the backbone swapped.
_base_ = './mask_rcnn_repnext_fpn.py'

fc_box_head = dict(
    type='Shared2FCBBoxHead',
    in_channels=256,
    fc_out_channels=1024,
    roi_feat_size=7,
    num_classes=_base_.num_classes,
    reg_class_agnostic=True,
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
)
box_coders = [
    dict(**_base_.box_coder, target_stds=[0.1, 0.1, 0.2, 0.2]),
    dict(**_base_.box_coder, target_stds=[0.05, 0.05, 0.1, 0.1]),
    dict(**_base_.box_coder, target_stds=[0.033, 0.033, 0.067, 0.067]),
]
box_sampling = [
    dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=iou,
            neg_iou_thr=iou,
            min_pos_iou=iou,
            match_low_quality=False,
            ignore_iof_thr=-1,
        ),
        sampler=_base_.model.train_cfg.rcnn.sampler,
        mask_size=28,
        pos_weight=-1,
        debug=False,
    )
    for iou in (0.5, 0.6, 0.7)
]

model = dict(
    type='CascadeRCNN',
    rpn_head=dict(loss_bbox=dict(type='SmoothL1Loss', beta=1.0 / 9.0)),
    roi_head=dict(
        type='CascadeRoIHead',
        num_stages=3,
        stage_loss_weights=[1, 0.5, 0.25],
        bbox_head=[dict(**fc_box_head, bbox_coder=box_coder) for box_coder in box_coders],
    ),
    train_cfg=dict(
        rpn=dict(allowed_border=0),
        rpn_proposal=dict(max_per_img=2000),
        rcnn=box_sampling,
    ),
)
