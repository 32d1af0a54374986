# adamw_3x with the learning rate of RepNeXt-M's official recipe, the same for all layers.
_base_ = './adamw_3x.py'

optim_wrapper = dict(optimizer=dict(lr=0.0002), paramwise_cfg=dict(decay_rate=1.0))
