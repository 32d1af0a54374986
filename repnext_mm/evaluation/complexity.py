"""Parameters and arithmetic of whole models, counted without running them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from repnext_mm.reparam.copies import independent_copy

WINOGRAD = 16 / 36
"""Multiplications of Winograd's F(2x2, 3x3) for each of the direct convolution (arXiv 1509.09308)."""

PROPOSALS = 1000
"""Regions that reach the box heads of a two-stage detector, as mmdet's configs test."""

MASKS = 100
"""Regions that reach its mask heads."""


@dataclass(frozen=True)
class Complexity:
    """The size of a network, and its arithmetic for one image."""

    parameters: int
    multiply_adds: int
    """Of convolutions and matrix products, what most papers call FLOPs."""

    winograd_multiplications: int
    """The same with 4/9 of those of 3x3 convolutions of stride 1, as RepVGG counts them
    (arXiv 2101.03697, table 1)."""


def complexity_of(model: nn.Module, shape: tuple[int, int], part: str = 'model') -> Complexity:
    """Counts a model of the mm packages, or its backbone.

    Post-processing (NMS, pasting of masks) does not count. Of a two-stage detector the box
    heads get :data:`PROPOSALS` regions and the mask heads :data:`MASKS`, whatever the weights.

    Args:
        model: In any form, which stays as it is.
        shape: Height and width of the image in pixels; those that the network sees.
        part: ``'model'`` or ``'backbone'``.

    Raises:
        ValueError: If the part is unknown.
    """
    if part not in ('model', 'backbone'):
        raise ValueError(f"unknown part {part!r}: choose 'model' or 'backbone'")
    chosen: Any = model if part == 'model' else model.backbone
    network = independent_copy(chosen)
    network.eval()
    network.to('meta')
    images = torch.empty(1, 3, *shape, device='meta')
    direct = _multiply_adds(network, images, {})
    winograd = {torch.ops.aten.convolution: _winograd_flops}
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Complexity(parameters, direct, _multiply_adds(network, images, winograd))


def _multiply_adds(network: nn.Module, images: Tensor, mapping: dict[Any, Any]) -> int:
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter, torch.no_grad():
        _run(network, images)
    return round(counter.get_total_flops() / 2)


def _run(network: Any, images: Tensor) -> None:
    """A network from images to what its last layers give, before any post-processing."""
    if not hasattr(network, 'roi_head'):
        # Models of the mm packages take a mode; bare backbones take images.
        network(images, mode='tensor') if hasattr(network, 'data_preprocessor') else network(images)
        return
    features = network.extract_feat(images)
    network.rpn_head(features)
    head = network.roi_head
    _run_heads(head.bbox_head, _regions(head.bbox_roi_extractor, PROPOSALS))
    if head.with_mask:
        _run_heads(head.mask_head, _regions(head.mask_roi_extractor, MASKS))


def _regions(extractor: Any, count: int) -> Tensor:
    """Features of regions, as an extractor cuts them out."""
    first: Any = extractor[0] if isinstance(extractor, nn.ModuleList) else extractor
    size = first.roi_layers[0].output_size
    return torch.empty(count, first.out_channels, *size, device='meta')


def _run_heads(heads: Any, regions: Tensor) -> None:
    """One head, or those of a cascade, each of which sees every region."""
    for head in heads if isinstance(heads, nn.ModuleList) else [heads]:
        head(regions)


def _winograd_flops(
    images: Sequence[int],
    weights: Sequence[int],
    bias: object,
    stride: Sequence[int],
    padding: object,
    dilation: Sequence[int],
    transposed: bool,
    *_: object,
    out_shape: Sequence[int],
    **__: object,
) -> float:
    """The operations of a convolution, for ``FlopCounterMode``."""
    flops = conv_flop_count(list(images), list(weights), list(out_shape), transposed=transposed)
    square = list(weights[2:]) == [3, 3] and not transposed
    eligible = square and set(stride) == {1} and set(dilation) == {1}
    return flops * WINOGRAD if eligible else flops
