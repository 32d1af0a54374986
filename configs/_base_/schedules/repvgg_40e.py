# RepVGG's recipe for PSPNet (arXiv 2101.03697, section 4.3), 40 epochs of Cityscapes' 2975 images; for
# 8 GPUs with 2 images each, so 186 iterations for an epoch.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=7440, val_interval=1860)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001),
)
param_scheduler = [
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=7440, by_epoch=False),
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
