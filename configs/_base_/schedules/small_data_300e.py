# convnext_300e for small datasets on one GPU with 256 images; the learning rate by its own rule.
# Weights are not averaged: the 10,000 steps of that average are all of ImageWoof's training.
_base_ = './convnext_300e.py'

optim_wrapper = dict(accumulative_counts=1, optimizer=dict(lr=4e-3 * 256 / 4096))
custom_hooks = []
auto_scale_lr = dict(base_batch_size=256)
