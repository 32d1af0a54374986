# ConvNeXt's published recipe for ImageNet: 300 epochs, lr 4e-3 per 4096 images of a step; for
# 8 GPUs with 128 images each, which take four batches for a step.
accumulated = 4
train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    type='OptimWrapper',
    accumulative_counts=accumulated,
    optimizer=dict(type='AdamW', lr=4e-3, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=20,
        convert_to_iter_based=True,
    ),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=True, begin=20, end=300),
]
custom_hooks = [
    dict(
        type='EMAHook',
        momentum=1e-4,
        interval=accumulated,
        update_buffers=True,
        priority='ABOVE_NORMAL',
    )
]
auto_scale_lr = dict(enable=False, base_batch_size=1024)
