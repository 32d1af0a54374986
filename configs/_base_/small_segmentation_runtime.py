# segmentation_runtime for short trainings.
_base_ = './segmentation_runtime.py'

default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=100, max_keep_ckpts=1))
log_processor = dict(window_size=20)
