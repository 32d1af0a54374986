# A slim MobileNetV2, for small images: half of its channels, without its last convolution.
channels = [16, 16, 48, 160]
backbone = dict(type='mmpretrain.MobileNetV2', widen_factor=0.5, out_indices=(1, 2, 4, 6))
find_unused_parameters = True  # those of the last convolution, whose output no head reads
