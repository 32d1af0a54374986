# A slim ResNet-18 without its last stage, with about the arithmetic of repnext_slim.
channels = [16, 32, 64]
backbone = dict(
    type='mmpretrain.ResNet',
    depth=18,
    stem_channels=16,
    base_channels=16,
    num_stages=3,
    strides=(1, 2, 2),
    dilations=(1, 1, 1),
    out_indices=(2,),
)
