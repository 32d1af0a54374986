# Label maps in mmseg's folders; tools/train.py --data FOLDER fills in folder, classes and sizes.
load_image = dict(type='LoadImageFromFile')
load_labels = dict(type='LoadAnnotations')
data = dict(
    type='BaseSegDataset',
    data_root='data/own',
    metainfo=dict(classes=('nothing', 'object'), palette=[[0, 0, 0], [230, 25, 75]]),
)
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **data,
        data_prefix=dict(img_path='images/train', seg_map_path='annotations/train'),
        pipeline=[
            load_image,
            load_labels,
            dict(type='RandomResize', scale=(512, 512), ratio_range=(0.75, 1.5), keep_ratio=True),
            dict(type='RandomCrop', crop_size=(512, 512), cat_max_ratio=0.9),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **data,
        data_prefix=dict(img_path='images/val', seg_map_path='annotations/val'),
        pipeline=[
            load_image,
            dict(type='Resize', scale=(512, 512), keep_ratio=True),
            load_labels,
            dict(type='PackSegInputs'),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
