# RepNeXt-T on CIFAR-100 at 96x96, from ImageNet weights: 50 epochs without mixing of images.
_base_ = [
    './_base_/models/classifier_repnext_t.py',
    './_base_/datasets/cifar100.py',
    './_base_/schedules/finetune_50e.py',
    './_base_/classification_runtime.py',
]

globals().update(__import__('repnext_mm.configs').configs.with_backbone(_base_, 'repnext_tiny'))
model['head']['num_classes'] = 100
model['train_cfg'] = dict(_delete_=True)
