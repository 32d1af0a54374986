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


def rows(level: Tensor, columns: int) -> Tensor:
    """A map ``(N, A * columns, H, W)`` as ``(N, H * W * A, columns)`` in float32."""
    return level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, columns).float()


def batched_nms(
    boxes: Tensor, scores: Tensor, groups: Tensor, cfg: Any, images: Tensor | None = None
) -> Tensor:
    """Greedy NMS inside each group; the kept indices by falling score.

    ``torchvision.ops.batched_nms`` decides in Python by the number of boxes. Here two boxes
    far from all others join them, with scores that no probability has: ``torch.export`` takes
    for granted that NMS keeps two, and the maximum of no boxes at all does not exist. They
    come first, and are left out.

    Args:
        boxes: ``(K, 4)``.
        scores: ``(K,)``, probabilities.
        groups: ``(K,)``, numbers of classes or levels.
        cfg: mmdet's configuration of plain NMS.
        images: ``(K,)``, numbers of images, which are apart in any case; None for one.
    """
    separate = not cfg.get('class_agnostic', False)
    if separate or images is not None:
        largest = torch.cat([boxes.flatten(), boxes.new_zeros(1)]).max() + 1
    if images is not None:
        # Classes side by side and images below each other: large numbers are less exact.
        aside = groups.to(boxes) * largest if separate else torch.zeros_like(scores)
        below = images.to(boxes) * largest
        boxes = boxes + torch.stack([aside, below, aside, below], 1)
    elif separate:
        boxes = boxes + (groups.to(boxes) * largest).unsqueeze(1)
    boxes = torch.cat([boxes, boxes.new_tensor(FAR_BOXES)])
    scores = torch.cat([scores, scores.new_tensor([3.0, 2.0])])
    return torch.ops.torchvision.nms(boxes, scores, cfg['iou_threshold'])[2:]


class RoIPooling(nn.Module):
    """mmdet's ``SingleRoIExtractor`` without a decision in Python, and in its place."""

    def __init__(self, extractor: Any):
        super().__init__()
        self.featmap_strides = list(extractor.featmap_strides)
        self.num_inputs = len(self.featmap_strides)
        self.out_channels = extractor.out_channels
        self.finest_scale = extractor.finest_scale
        layer = extractor.roi_layers[0]
        self.size = tuple(layer.output_size)
        self.sampling_ratio = layer.sampling_ratio
        self.aligned = layer.aligned

    def forward(
        self, features: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None
    ) -> Tensor:
        """Pools each region from the level of its size: ``(K, C, *size)``.

        Args:
            features: ``(N, C, H_i, W_i)`` of each level.
            rois: ``(K, 5)``: the number of the image, and x1, y1, x2, y2 in its pixels.
            roi_scale_factor: Regions are enlarged by it, after their level is chosen.
        """
        channels, dtype = features[0].shape[1], features[0].dtype
        sides = rois[:, 3:] - rois[:, 1:3]
        scale = (sides[:, 0] * sides[:, 1]).sqrt()
        levels = torch.floor(torch.log2(scale / self.finest_scale + 1e-6))
        levels = levels.clamp(0, self.num_inputs - 1).long()
        if roi_scale_factor is not None:
            centre, half = (rois[:, 1:3] + rois[:, 3:]) * 0.5, sides * (roi_scale_factor * 0.5)
            rois = torch.cat([rois[:, :1], centre - half, centre + half], 1)
        pooled = rois.new_zeros((rois.shape[0], channels, *self.size))
        for level, stride in enumerate(self.featmap_strides):
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


def regions(boxes: Tensor, images: Tensor | None = None) -> Tensor:
    """Boxes ``(K, 4)`` as regions ``(K, 5)`` of images by number, or of the first."""
    first = torch.zeros_like(boxes[:, :1]) if images is None else images.to(boxes).unsqueeze(1)
    return torch.cat([first, boxes], 1)
