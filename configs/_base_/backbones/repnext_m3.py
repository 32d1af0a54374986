# RepNeXt-M3 with its official ImageNet weights.
_base_ = '../pretrained.py'

channels = [64, 128, 256, 512]
backbone = dict(
    type='repnext_mm.RepNeXt',
    arch='m3',
    drop_path_rate=0.0,
    init_cfg=dict(type='Pretrained', checkpoint=f'{_base_.pretrained}/repnext_m3.pth'),
)
