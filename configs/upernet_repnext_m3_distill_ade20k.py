# UperNet, RepNeXt-M3, with the published Semantic FPN of RepNeXt-M5 as teacher: both say at
# stride 4 how much of each of 150 classes is where.
_base_ = './upernet_repnext_m3_ade20k.py'

logits = dict(type='repnext_mm.ChannelWiseDivergence', loss_weight=5.0)  # as mmrazor's PSPNet has
model = dict(
    type='repnext_mm.FeatureDistillation',
    student='EncoderDecoder',
    # Beside this file, whatever its folder is called.
    teacher_config=str(
        __import__('pathlib')
        .Path(__import__('inspect').currentframe().f_code.co_filename)
        .with_name('fpn_repnext_m5_ade20k.py')
    ),
    teacher_ckpt=f'{_base_.pretrained}/fpn_repnext_m5_ade20k.pth',
    features=[dict(module='decode_head.conv_seg', loss=logits)],
)
