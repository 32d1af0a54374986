# Pooled features and one linear classifier; the backbone is chosen by those who inherit.
model = dict(
    type='ImageClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=128, topk=(1, 5)),
)
