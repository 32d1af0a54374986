# RepNeXt-M3 with its official ImageNet weights.
channels = [64, 128, 256, 512]
checkpoint = '{{$REPNEXT_PRETRAINED:pretrained}}/repnext_m3.pth'
backbone = dict(
    type='repnext_mm.RepNeXt',
    arch='m3',
    drop_path_rate=0.0,
    init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
)
