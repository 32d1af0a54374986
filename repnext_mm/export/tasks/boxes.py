"""Boxes without a decision in Python: decoding, NMS and RoI pooling."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

FAR_BOXES = [[-2e6, -2e6, -1e6, -1e6], [-4e6, -4e6, -3e6, -3e6]]


class BoxCoder(Protocol):
    """From the outputs of a box head to boxes, clipped to a limit that is a tensor."""

    def decode(self, priors: Tensor, outputs: Tensor, limits: Tensor) -> Tensor:
        """Boxes ``(K, 4)`` from priors and outputs ``(K, 4)``, inside ``limits`` (w, h, w, h)."""


class DeltaBoxCoder:
    """mmdet's ``DeltaXYWHBBoxCoder``: priors are boxes, outputs move and scale them.

    Source: R-CNN, arXiv 1311.2524, appendix C.
    """

    def __init__(self, coder: Any):
        self.means = list(coder.means)
        self.stds = list(coder.stds)
        self.clip_border = coder.clip_border

    def decode(self, boxes: Tensor, deltas: Tensor, limits: Tensor) -> Tensor:
        """Moves boxes ``(K, 4)`` by deltas ``(K, 4)``, inside ``limits`` (w, h, w, h)."""
        deltas = deltas * deltas.new_tensor(self.stds) + deltas.new_tensor(self.means)
        centre = (boxes[:, :2] + boxes[:, 2:]) * 0.5
        sides = boxes[:, 2:] - boxes[:, :2]
        largest = abs(math.log(16 / 1000))
        centre = centre + sides * deltas[:, :2]
        half = sides * deltas[:, 2:].clamp(-largest, largest).exp() * 0.5
        moved = torch.cat([centre - half, centre + half], 1)
        if not self.clip_border:
            return moved
        return torch.minimum(moved.clamp(min=0), limits.to(moved))


class DistanceBoxCoder:
    """mmdet's ``DistancePointBBoxCoder``: priors are points, outputs the distances to the sides.

    Source: FCOS, arXiv 1904.01355, section 3.1.
    """

    def __init__(self, coder: Any):
        self.clip_border = coder.clip_border

    def decode(self, points: Tensor, distances: Tensor, limits: Tensor) -> Tensor:
        """Boxes round points ``(K, 2)``, inside ``limits`` (w, h, w, h)."""
        boxes = torch.cat([points - distances[:, :2], points + distances[:, 2:]], 1)
        if not self.clip_border:
            return boxes
        return torch.minimum(boxes.clamp(min=0), limits.to(boxes))


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, cfg: Any) -> Tensor:
    """Greedy NMS inside each group; the kept indices by falling score.

    ``torchvision.ops.batched_nms`` decides in Python by the number of boxes. Here two boxes
    far from all others join them, with scores that no probability has: ``torch.export`` takes
    for granted that NMS keeps two, and the maximum of no boxes at all does not exist. They
    come first, and are left out.
    """
    if not cfg.get('class_agnostic', False):
        largest = torch.cat([boxes.flatten(), boxes.new_zeros(1)]).max()
        boxes = boxes + (groups.to(boxes) * (largest + 1)).unsqueeze(1)
    boxes = torch.cat([boxes, boxes.new_tensor(FAR_BOXES)])
    scores = torch.cat([scores, scores.new_tensor([3.0, 2.0])])
    return torch.ops.torchvision.nms(boxes, scores, cfg['iou_threshold'])[2:]


class RoIPooling(nn.Module):
    """mmdet's ``SingleRoIExtractor`` without a decision in Python."""

    def __init__(self, extractor: Any):
        super().__init__()
        self.strides = list(extractor.featmap_strides)
        self.finest_scale = extractor.finest_scale
        layer = extractor.roi_layers[0]
        self.size = tuple(layer.output_size)
        self.sampling_ratio = layer.sampling_ratio
        self.aligned = layer.aligned

    def forward(self, features: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Pools each box ``(K, 4)`` from the level of its size: ``(K, C, *size)``."""
        channels, dtype = features[0].shape[1], features[0].dtype
        rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], 1)
        sides = boxes[:, 2:] - boxes[:, :2]
        scale = (sides[:, 0] * sides[:, 1]).sqrt()
        levels = torch.floor(torch.log2(scale / self.finest_scale + 1e-6))
        levels = levels.clamp(0, len(self.strides) - 1).long()
        pooled = boxes.new_zeros((boxes.shape[0], channels, *self.size))
        for level, stride in enumerate(self.strides):
            chosen = (levels == level).nonzero()[:, 0]
            part = roi_align(
                features[level].float(),
                rois[chosen],
                self.size,
                1 / stride,
                self.sampling_ratio,
                self.aligned,
            )
            pooled = pooled.index_put((chosen,), part)
        return pooled.to(dtype)
