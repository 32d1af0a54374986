"""Checks of arguments, whose errors name the argument, its value and what is allowed."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any


def check_switches(**switches: Any) -> None:
    """Makes sure that values are True or False, or 1 or 0.

    Raises:
        TypeError: If one is not: ``'False'`` would count as true.
    """
    for name, value in switches.items():
        if value not in (True, False):
            raise TypeError(f'{name} must be True or False, got {value!r}')


def check_whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Makes sure that a value is a whole number in a range.

    Raises:
        TypeError: If it is no whole number.
        ValueError: If it lies outside.
    """
    allowed = f'{least} or more' if most is None else f'between {least} and {most}'
    if not is_whole(value):
        raise TypeError(f'{name} must be a whole number, {allowed}, got {value!r}')
    if value < least or (most is not None and value > most):
        raise ValueError(f'{name} must be {allowed}, got {value!r}')


def check_rate(name: str, value: Any) -> None:
    """Makes sure that a value is a number in [0, 1).

    Raises:
        TypeError: If it is no number.
        ValueError: If it lies outside.
    """
    if isinstance(value, bool) or not _is_real(value):
        raise TypeError(f'{name} must be a number in [0, 1), got {value!r}')
    if not 0 <= value < 1:
        raise ValueError(f'{name} must lie in [0, 1), got {value!r}')


def are_whole(numbers: Any, least: int | None = None) -> bool:
    """Whether a value is a sequence of whole numbers, none of them below ``least``."""
    if isinstance(numbers, str) or not isinstance(numbers, Sequence):
        return False
    return all(is_whole(number) and (least is None or number >= least) for number in numbers)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number of whatever library."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_real(value: Any) -> bool:
    return isinstance(value, Real)
