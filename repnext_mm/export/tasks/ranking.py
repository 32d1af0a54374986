"""The best of many candidates, by a TopK whose K is a constant of the graph."""

import torch
from torch import Tensor


def best_first(scores: Tensor, limit: int, count_is_fixed: bool = False) -> tuple[Tensor, Tensor]:
    """The largest scores by falling score, and the places that they had.

    TensorRT takes a TopK with a constant K of at most 3840, and a sort in torch becomes a TopK of
    everything. Where the number of candidates depends on the image, ``limit`` placeholders
    join them, so that there are always K to choose from, and are left out again.

    Args:
        scores: ``(K,)``, finite.
        limit: How many to return at most; 0 or less for all of them, which takes a sort.
        count_is_fixed: Whether all images give as many scores as the traced one, as in a file for
            one size of images. The placeholders are not needed then.

    Returns:
        The scores and their indices, ``(min(K, limit),)`` each.
    """
    if limit <= 0:
        return scores.sort(descending=True)
    if count_is_fixed:
        return scores.topk(min(limit, int(scores.shape[0])))
    placeholders = torch.full((limit,), -torch.inf, dtype=scores.dtype, device=scores.device)
    ranked, order = torch.cat([scores, placeholders]).topk(limit)
    real = (order < scores.shape[0]).nonzero()[:, 0]
    return ranked[real], order[real]
