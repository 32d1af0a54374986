# small_data_300e from ImageNet weights: 50 epochs, a lower learning rate, a shorter warm-up.
_base_ = './small_data_300e.py'

from_imagenet = True
train_cfg = dict(max_epochs=50)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=True, begin=5, end=50),
]
