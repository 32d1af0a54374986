"""Multi-scale deformable attention (arXiv 2010.04159): mmcv's own, written in torch."""

from collections.abc import Callable

from torch import Tensor

from repnext_mm.compat.mmcv_ops.precision import gradients


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Deformable attention with the signature of mmcv's extension.

    Args:
        value: ``(N, keys, heads, C)``.
        value_spatial_shapes: Height and width of each level, ``(levels, 2)``.
        value_level_start_index: Where the levels begin among the keys, ``(levels,)``.
        sampling_locations: ``(N, queries, heads, levels, points, 2)``, x and y from 0 to 1.
        attention_weights: ``(N, queries, heads, levels, points)``.
        im2col_step: Images at a time in mmcv's own.

    Returns:
        ``(N, queries, heads * C)``.
    """
    return _attention(value_spatial_shapes)(value, sampling_locations, attention_weights)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """The gradients of :func:`ms_deform_attn_forward`; writes into the three of them."""
    inputs = value, sampling_locations, attention_weights
    found = gradients(_attention(value_spatial_shapes), inputs, grad_output)
    for place, gradient in zip(
        (grad_value, grad_sampling_loc, grad_attn_weight), found, strict=True
    ):
        place.copy_(gradient)


def _attention(shapes: Tensor) -> Callable[..., Tensor]:
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    sizes = shapes.tolist()
    return lambda value, locations, weights: multi_scale_deformable_attn_pytorch(
        value, sizes, locations, weights
    )
