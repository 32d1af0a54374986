# A slim RepNeXt-M with the layers of M0, for small images.
channels = [24, 48, 96, 192]
backbone = dict(
    type='repnext_mm.RepNeXt', arch=dict(channels=channels, depths=[1, 1, 2, 1], variant='m0')
)
