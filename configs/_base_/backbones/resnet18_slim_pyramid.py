# A slim ResNet-18, for small images: a quarter of its channels.
channels = [16, 32, 64, 128]
backbone = dict(
    type='mmpretrain.ResNet',
    depth=18,
    stem_channels=16,
    base_channels=16,
    out_indices=(0, 1, 2, 3),
)
