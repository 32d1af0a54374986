# classification_runtime, counted in iterations, for short trainings.
_base_ = './classification_runtime.py'

default_hooks = dict(
    logger=dict(interval=20, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=1),
)
log_processor = dict(by_epoch=False, window_size=20)
