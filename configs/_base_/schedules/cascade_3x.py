# adamw_3x with the learning rates of ConvNeXt-T's recipe for Cascade Mask R-CNN.
_base_ = './adamw_3x.py'

optim_wrapper = dict(optimizer=dict(lr=0.0002), paramwise_cfg=dict(decay_rate=0.7))
