# A slim ConvNeXt for images of 32x32, as wide and deep as repnext_slim.
channels = [32, 64, 128]
backbone = dict(
    type='mmpretrain.ConvNeXt',
    arch=dict(channels=channels, depths=[1, 1, 1]),
    out_indices=(2,),
    layer_scale_init_value=1.0,
    gap_before_final_norm=False,
)
