# The demo's segmentor: slim enough to learn generated shapes on two CPU cores.
# tools/demo.py makes the data; SHAPES_ROOT moves its folder.
_base_ = '../upernet_repnext_tiny_ade20k.py'

data_root = __import__('os').environ.get('SHAPES_ROOT') or 'data/shapes'
data = dict(
    type='BaseSegDataset',
    data_root=data_root,
    img_suffix='.png',
    reduce_zero_label=True,
    metainfo=dict(
        classes=('ground', 'disk', 'box', 'triangle', 'star', 'ring'),
        palette=[
            [170, 170, 170],
            [230, 25, 75],
            [60, 180, 75],
            [255, 225, 25],
            [0, 130, 200],
            [245, 130, 48],
        ],
    ),
)
iterations, width = 800, 48
channels = [24, 48, 96, 192]
crop_size = (128, 128)
loss = dict(class_weight=[0.2, 1.0, 1.0, 1.0, 1.0, 1.0])  # most of every image is ground

model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        arch=dict(_delete_=True, channels=channels, depths=[1, 1, 2, 1]),
        drop_path_rate=0.0,
        init_cfg=None,
    ),
    decode_head=dict(in_channels=channels, channels=width, num_classes=6, loss_decode=loss),
    auxiliary_head=dict(in_channels=channels[2], channels=width, num_classes=6, loss_decode=loss),
    test_cfg=dict(crop_size=crop_size, stride=(85, 85)),
)

load_image = dict(type='LoadImageFromFile')
load_labels = dict(type='LoadAnnotations')
train_pipeline = [
    load_image,
    load_labels,
    dict(type='RandomFlip', prob=[0.3, 0.3], direction=['horizontal', 'vertical']),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    load_image,
    dict(type='Resize', scale=crop_size, keep_ratio=True),
    load_labels,
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        **data,
        data_prefix=dict(img_path='train', seg_map_path='annotations/training'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    dataset=dict(
        **data,
        data_prefix=dict(img_path='val', seg_map_path='annotations/validation'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

train_cfg = dict(max_iters=iterations, val_interval=iterations // 4)
optim_wrapper = dict(
    type='OptimWrapper', paramwise_cfg=dict(decay_rate=1.0), optimizer=dict(lr=0.004)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=iterations, eta_min=0.0),
]
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=iterations // 4, max_keep_ckpts=1),
)
log_processor = dict(window_size=20)
randomness = dict(seed=0)
