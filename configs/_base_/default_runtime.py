# Importing repnext_mm registers it, and offers torchvision's operators where mmcv
# was installed without compiled ones; so it must come before mmdet.
custom_imports = dict(imports=['repnext_mm'], allow_failed_imports=False)

default_scope = 'mmdet'
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='repnext_mm.SafeCheckpointHook', interval=1, max_keep_ckpts=3),
    finite_loss=dict(type='repnext_mm.FiniteLossHook'),
    curves=dict(type='repnext_mm.CurvesHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='DetVisualizationHook'),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='DetLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
