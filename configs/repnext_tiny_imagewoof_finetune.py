# RepNeXt-T on ImageWoof at 224x224, from ImageNet weights: 50 epochs without mixing of images.
_base_ = [
    './_base_/models/classifier_repnext_t.py',
    './_base_/datasets/imagewoof.py',
    './_base_/schedules/finetune_50e.py',
    './_base_/classification_runtime.py',
]

globals().update(__import__('repnext_mm.configs').configs.with_backbone(_base_, 'repnext_tiny'))
model['head']['num_classes'] = 10
model['train_cfg'] = dict(_delete_=True)
