# RepNeXt-M's published recipe for ImageNet: 300 epochs, lr 1e-3 per 512 images of a batch;
# for 8 GPUs with 256 images each.
train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    type='repnext_mm.AdaptiveClipAmpOptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3 * 2048 / 512, weight_decay=0.025),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(clip_factor=0.02),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-6 / (1e-3 * 2048 / 512),
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=5, end=300),
]
# update_buffers: batch norm statistics are averaged like the weights, as timm does.
custom_hooks = [
    dict(type='EMAHook', momentum=1 - 0.99996, update_buffers=True, priority='ABOVE_NORMAL')
]
auto_scale_lr = dict(enable=False, base_batch_size=2048)
