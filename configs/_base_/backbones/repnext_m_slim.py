# A slim RepNeXt-M for images of 32x32, with the layers of M0.
channels = [32, 64, 128]
backbone = dict(
    type='repnext_mm.RepNeXt',
    arch=dict(channels=channels, depths=[1, 1, 1], variant='m0'),
    out_indices=(2,),
)
