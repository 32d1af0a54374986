# PSPNet, RepNeXt-T at output stride 8: RepVGG's recipe, 40 epochs, 713x713.
_base_ = [
    './_base_/models/pspnet_repnext.py',
    './_base_/datasets/cityscapes.py',
    './_base_/segmentation_runtime.py',
    './_base_/schedules/repvgg_40e.py',
]

default_hooks = dict(checkpoint=dict(interval=1860))
model = dict(backbone=__import__('repnext_mm.configs').configs.swap.repnext_weights('tiny'))
