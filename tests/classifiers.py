"""Labels and losses for tests of classifiers."""

import torch
from mmpretrain.structures import DataSample
from torch import nn

LOSS = dict(type='mmpretrain.CrossEntropyLoss', use_soft=True)


def samples(labels: list[int], classes: int = 3) -> list[DataSample]:
    """Data samples as mmpretrain's preprocessor makes them: labels and one-hot scores."""
    one_hot = nn.functional.one_hot(torch.tensor(labels), classes).float()
    return [
        DataSample().set_gt_label(label).set_gt_score(score)
        for label, score in zip(labels, one_hot, strict=True)
    ]
