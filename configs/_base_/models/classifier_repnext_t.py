# RepNeXt-T with pooled features and one classifier, for ImageNet.
num_classes = 1000

model = dict(
    type='ImageClassifier',
    backbone=dict(type='repnext_mm.RepNeXt', arch='tiny', out_indices=-1),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=num_classes,
        in_channels=768,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        topk=(1, 5),
    ),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]),
)
