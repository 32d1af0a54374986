"""How far a student is from its teacher: divergences of distributions, as loss modules.

All take ``(student, teacher)`` of one shape, before any softmax, and compute in float32 at least.
The square of the temperature is a factor of each, so that gradients keep their size when it
changes (arXiv 1503.02531, section 2).
"""

import math
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repnext_mm.registry import MODELS, register


class Divergence(nn.Module):
    """What the losses share: a temperature and a weight.

    Args:
        temperature: Divides what the softmax takes; above 1 it levels the distributions.
        loss_weight: Factor of the loss.

    Raises:
        ValueError: If the temperature is not positive, or the weight negative.
    """

    def __init__(self, temperature: float = 1.0, loss_weight: float = 1.0):
        super().__init__()
        if not temperature > 0:
            raise ValueError(f'temperature must be positive, such as 1.0; got {temperature!r}')
        if not loss_weight >= 0:
            raise ValueError(f'loss_weight must be 0 or more, got {loss_weight!r}')
        self.temperature = temperature
        self.loss_weight = loss_weight

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Computes the loss, a scalar.

        Args:
            student: Scores ``(N, K)`` or features ``(N, C, H, W)``, which get gradients.
            teacher: The same of the teacher, which gets none.

        Raises:
            ValueError: If the shapes differ.
        """
        if student.shape != teacher.shape:
            raise ValueError(
                f'student and teacher must agree in shape, got {tuple(student.shape)} and '
                f'{tuple(teacher.shape)}'
            )
        logs = (self._log_distribution(x) for x in (student, teacher.detach()))
        return self.loss_weight * self.temperature**2 * self.divergence(*logs)

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f'temperature={self.temperature}, loss_weight={self.loss_weight}'

    @abstractmethod
    def divergence(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The mean divergence of distributions given as logarithms, ``(M, K)``: a scalar."""

    def _log_distribution(self, values: Tensor) -> Tensor:
        """Logarithms of the distributions, in the rows of ``(M, K)``."""
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        return F.log_softmax(values / self.temperature, dim=1)


def mean_kl(of: Tensor, to: Tensor) -> Tensor:
    """The mean over the rows of ``KL(of || to)``, from logarithms of the distributions."""
    return F.kl_div(to, of, reduction='batchmean', log_target=True)


@register(MODELS)
class JensenShannonDivergence(Divergence):
    """``(KL(p || m) + KL(q || m)) / 2`` of soft labels, with ``m = (p + q) / 2``.

    The loss that SSLD names (arXiv 2103.05959). It is at most ``ln 2``.
    """

    def divergence(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The divergence of each image's soft labels, and their mean."""
        middle = torch.logaddexp(student, teacher) - math.log(2)
        return (mean_kl(student, middle) + mean_kl(teacher, middle)) / 2


@register(MODELS)
class SymmetricDivergence(Divergence):
    """``(KL(p || q) + KL(q || p)) / 2`` of soft labels.

    What PaddleClas' ``JSDivLoss`` of SSLD computes (``ppcls/modeling/loss.py``, release 2.0), up
    to a factor. It has no upper bound and, where the two are close, four times the size of
    :class:`JensenShannonDivergence`.
    """

    def divergence(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The divergence of each image's soft labels, and their mean."""
        return (mean_kl(student, teacher) + mean_kl(teacher, student)) / 2


@register(MODELS)
class ChannelWiseDivergence(Divergence):
    """``KL(teacher || student)`` of each channel's distribution over the image.

    Channel-wise distillation (arXiv 2011.13256, section 3.2): a softmax over all pixels of a
    channel says where it looks, and the mean over images and channels counts.
    """

    def divergence(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The divergence of each channel's distribution, and their mean."""
        return mean_kl(teacher, student)

    def _log_distribution(self, values: Tensor) -> Tensor:
        return super()._log_distribution(values.flatten(2).flatten(0, 1))
