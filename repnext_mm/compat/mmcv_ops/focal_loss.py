"""The focal loss of detectors (arXiv 1708.02002, equation 5) in torch."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from repnext_mm.compat.mmcv_ops.precision import at_least_single, gradients


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """The sigmoid focal loss with the signature of mmcv's extension; writes into ``output``.

    Args:
        input: Scores before the sigmoid, ``(N, C)``.
        target: Classes, ``(N,)``; numbers outside of 0 to C - 1 stand for none of them.
        weight: One factor for each class of ``target``, ``(C,)``; empty for none.
        output: ``(N, C)``.
        gamma: Exponent.
        alpha: Weight of the positives, between 0 and 1.

    Raises:
        ValueError: If there are weights, and a target that has none.
    """
    output.copy_(_loss(input, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """The derivative of each loss by its score, ``(N, C)``; writes into ``grad_input``."""
    loss = partial(_loss, target=target, weight=weight, gamma=gamma, alpha=alpha)
    (found,) = gradients(loss, [input], torch.ones_like(input))
    grad_input.copy_(found)


def _loss(input: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    (scores,) = at_least_single(input)
    classes = torch.arange(scores.shape[1], device=scores.device)
    positive = target[:, None] == classes
    margin = torch.where(positive, scores, -scores)
    share = torch.where(positive, scores.new_tensor(alpha), scores.new_tensor(1 - alpha))
    loss = -share * torch.sigmoid(-margin).pow(gamma) * F.logsigmoid(margin)
    return loss * _weights(weight, target)[:, None] if weight.numel() else loss


def _weights(weight: Tensor, target: Tensor) -> Tensor:
    unknown = (target < 0) | (target >= len(weight))
    if unknown.any():
        raise ValueError(
            f'the focal loss has weights for {len(weight)} classes and none for the target '
            f'{int(target[unknown][0])}: leave the weights out where some boxes are of no class'
        )
    return weight[target]
