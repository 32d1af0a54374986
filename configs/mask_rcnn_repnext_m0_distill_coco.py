# Mask R-CNN, RepNeXt-M0, with the published RepNeXt-M5 one as the teacher of its neck: 12 epochs.
_base_ = './mask_rcnn_repnext_m0_coco.py'

model = dict(
    type='repnext_mm.FeatureDistillation',
    student='MaskRCNN',
    # Beside this file, whatever its folder is called.
    teacher_config=str(
        __import__('pathlib')
        .Path(__import__('inspect').currentframe().f_code.co_filename)
        .with_name('mask_rcnn_repnext_m5_coco.py')
    ),
    teacher_ckpt=f'{_base_.pretrained}/mask_rcnn_repnext_m5_coco.pth',
    # Temperature 1 and weight 10 for each of five levels, as in mmrazor's cwd_fpn_frcnn_r101.
    features=[
        dict(module='neck', loss=dict(type='repnext_mm.ChannelWiseDivergence', loss_weight=10.0))
    ],
)
