"""Casts of weights to types that hold smaller numbers only."""

import torch
from torch import Tensor


def check_range(value: Tensor, dtype: torch.dtype, name: str, advice: str) -> None:
    """Makes sure that no finite value becomes infinite in another type.

    Args:
        value: Of any shape; what is not finite already does not count.
        dtype: A floating-point type.
        name: What it is, for the message.
        advice: What to do, for the message.

    Raises:
        ValueError: If one does; the message names the largest, and what the type holds.
    """
    if value.device.type == 'meta' or not value.is_floating_point():
        return
    limit = torch.finfo(dtype).max
    if limit >= torch.finfo(value.dtype).max:
        return
    finite = value.detach()[value.detach().isfinite()].abs()
    if finite.numel() and not finite.max().to(dtype).isfinite():
        raise ValueError(
            f'{name} has a value of {finite.max().item():.3g}, which becomes infinite in '
            f'{str(dtype).removeprefix("torch.")}, whose largest is {limit:.3g}: {advice}'
        )
