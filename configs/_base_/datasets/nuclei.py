# Nuclei as 'tools/prepare_data.py nuclei' leaves them: tiles of about 256x256. NUCLEI_ROOT moves
# the folder.
data_root = __import__('os').environ.get('NUCLEI_ROOT') or 'data/nuclei'
data = dict(type='CocoDataset', data_root=data_root, metainfo=dict(classes=('nucleus',)))
image_scale = (256, 256)
load_image = dict(type='LoadImageFromFile')
load_labels = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
resize = dict(type='Resize', scale=image_scale, keep_ratio=True)
train_pipeline = [
    load_image,
    load_labels,
    resize,
    dict(type='RandomFlip', prob=[0.3, 0.3], direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs'),
]
keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
test_pipeline = [load_image, resize, load_labels, dict(type='PackDetInputs', meta_keys=keys)]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **data,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **data,
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + '/annotations/instances_val.json',
    metric=['bbox', 'segm'],
)
test_evaluator = val_evaluator
