"""Images divided into training, validation and test, so that none ever moves."""

import hashlib
from collections.abc import Collection
from typing import NamedTuple


class Shares(NamedTuple):
    """Which part of the images is held back, each from 0 to less than 1."""

    val: float
    test: float

    def check(self) -> None:
        """Makes sure that something is left for training.

        Raises:
            ValueError: If a share is negative, or they are 1 together.
        """
        if min(self) < 0 or sum(self) >= 1:
            raise ValueError(
                f'shares of validation and test are at least 0 and less than 1 together, got '
                f'{self.val} and {self.test}'
            )


def fraction_of(name: str) -> float:
    """A number from 0 to 1 that depends on a name alone, evenly spread over names."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], 'big') / 2**64


def choose_split(name: str, shares: Shares) -> str:
    """The split of an image, by a hash of its name: it never moves, whatever else is there."""
    place = fraction_of(name)
    if place < shares.val:
        return 'val'
    return 'test' if place < shares.val + shares.test else 'train'


def fitting_shares(there: Collection[str], val: float | None, test: float | None) -> Shares:
    """Completes the shares that a user gave.

    Args:
        there: Splits that the data set has already.
        val: As given; None for a tenth, or none where the data set has that split.
        test: As given; None for a tenth, or none where the data set has splits.

    Raises:
        ValueError: As :meth:`Shares.check`, or if a split that is there would get more images.
    """
    for name, share in (('val', val), ('test', test)):
        if share and name in there:
            raise ValueError(
                f'the data set has a split {name} already, which is kept: leave --{name} out'
            )
    shares = Shares(
        (0.0 if 'val' in there else 0.1) if val is None else val,
        (0.0 if there else 0.1) if test is None else test,
    )
    shares.check()
    return shares
