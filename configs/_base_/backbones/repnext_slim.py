# A slim RepNeXt-T for images of 32x32; model.backbone.arch.variant chooses V1, V2, V3 or ER.
channels = [32, 64, 128]
backbone = dict(
    type='repnext_mm.RepNeXt',
    arch=dict(channels=channels, depths=[1, 1, 1], variant='tiny'),
    out_indices=(2,),
)
