"""Labels and losses for tests of classifiers."""

import torch
from mmpretrain.structures import DataSample
from torch import nn

LOSS = dict(type='mmpretrain.CrossEntropyLoss', use_soft=True)
TEACHER = dict(
    type='mmpretrain.ImageClassifier',
    backbone=dict(type='mmpretrain.MobileNetV2', widen_factor=0.1),
    neck=dict(type='mmpretrain.GlobalAveragePooling'),
    head=dict(type='mmpretrain.LinearClsHead', num_classes=3, in_channels=1280),
    data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor'),
)
"""A small classifier that students learn from."""


def samples(labels: list[int], classes: int = 3) -> list[DataSample]:
    """Data samples as mmpretrain's preprocessor makes them: labels and one-hot scores."""
    one_hot = nn.functional.one_hot(torch.tensor(labels), classes).float()
    return [
        DataSample().set_gt_label(label).set_gt_score(score)
        for label, score in zip(labels, one_hot, strict=True)
    ]
