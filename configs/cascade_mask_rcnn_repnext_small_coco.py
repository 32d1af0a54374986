# cascade_mask_rcnn_repnext_tiny_coco, RepNeXt-S; the rate of ConvNeXt-S.
_base_ = './cascade_mask_rcnn_repnext_tiny_coco.py'

model = dict(backbone=dict(arch='small', drop_path_rate=0.6))
