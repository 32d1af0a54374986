# adamw_160k with the same learning rate for all layers, as RepNeXt-M's official recipes have it.
_base_ = './adamw_160k.py'

optim_wrapper = dict(paramwise_cfg=dict(decay_rate=1.0))
