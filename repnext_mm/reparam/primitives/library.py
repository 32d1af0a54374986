"""What a library for convolutions offers to merged networks."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class PrimitiveLibrary(ABC):
    """The primitives of a kind of device."""

    @abstractmethod
    def is_allowed(self, x: Tensor) -> bool:
        """Whether there may be primitives for an input's dtype, and nothing forbids them."""

    @abstractmethod
    def run(
        self,
        x: Tensor,
        conv: nn.Conv2d,
        activation: str,
        other: Tensor | None = None,
        overwrite: bool = False,
    ) -> Tensor | None:
        """``activation(other + conv(x))`` as one primitive.

        Weights may change at any time, in place too, and several threads may run the same
        convolution.

        Args:
            x: ``(N, C, H, W)`` on such a device, in any layout.
            conv: A convolution that is ``nn.Conv2d`` and nothing else.
            activation: One of those in :mod:`~.activations`.
            other: Tensor to add, of the shape of the output.
            overwrite: Whether the output may take the memory of ``other``, which nobody reads later.

        Returns:
            The output; None where no primitive computes it.
        """
