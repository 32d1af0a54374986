# The demo's detector: slim enough to learn generated shapes on two CPU cores.
# tools/demo.py makes the data; SHAPES_ROOT moves its folder.
_base_ = '../mask_rcnn_repnext_tiny_coco.py'

data_root = __import__('os').environ.get('SHAPES_ROOT') or 'data/shapes'
classes = ('disk', 'box', 'triangle', 'star', 'ring')
data = dict(data_root=data_root, metainfo=dict(classes=classes))
iterations, width, hidden = 800, 64, 256
rois = dict(roi_layer=dict(sampling_ratio=2), out_channels=width)

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, channels=[24, 48, 96, 192], depths=[1, 1, 2, 1]),
        drop_path_rate=0.0,
        init_cfg=None,
    ),
    neck=dict(in_channels=[24, 48, 96, 192], out_channels=width, norm_cfg=dict(type='BN')),
    rpn_head=dict(in_channels=width, feat_channels=width, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=rois,
        mask_roi_extractor=rois,
        bbox_head=dict(in_channels=width, fc_out_channels=hidden, num_classes=len(classes)),
        mask_head=dict(
            in_channels=width, conv_out_channels=width, num_convs=2, num_classes=len(classes)
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=32)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100), rcnn=dict(max_per_img=20)),
)

load_image = dict(type='LoadImageFromFile')
load_labels = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
train_pipeline = [
    load_image,
    load_labels,
    dict(type='RandomFlip', prob=[0.3, 0.3], direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs'),
]
keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
test_pipeline = [
    load_image,
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    load_labels,
    dict(type='PackDetInputs', meta_keys=keys),
]
train_dataloader = dict(
    batch_size=8,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **data,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    dataset=dict(
        **data,
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + '/annotations/instances_val.json')
test_evaluator = val_evaluator

train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations // 4
)
optim_wrapper = dict(
    type='OptimWrapper', paramwise_cfg=dict(decay_rate=1.0), optimizer=dict(lr=0.002)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=iterations, eta_min=0.0),
]
default_hooks = dict(
    logger=dict(interval=20, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=iterations // 4, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False, window_size=20)
randomness = dict(seed=0)
