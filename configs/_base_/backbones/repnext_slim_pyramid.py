# A slim RepNeXt-T with four stages, for small images.
channels = [24, 48, 96, 192]
backbone = dict(
    type='repnext_mm.RepNeXt', arch=dict(channels=channels, depths=[1, 1, 2, 1], variant='tiny')
)
