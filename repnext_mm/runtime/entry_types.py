"""Which values the entries of a file's metadata may have."""

from collections.abc import Callable, Mapping
from typing import Any

TypeTest = Callable[[Any], bool]


def is_text(value: Any) -> bool:
    """Whether a value is a text."""
    return isinstance(value, str)


def is_integer(value: Any) -> bool:
    """Whether a value is a positive whole number."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def is_number(value: Any) -> bool:
    """Whether a value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_mapping(value: Any) -> bool:
    """Whether a value has entries by name."""
    return isinstance(value, Mapping)


def optional(check: TypeTest) -> TypeTest:
    """Takes None, too."""
    return lambda value: value is None or check(value)


def listing(check: TypeTest, length: int | None = None) -> TypeTest:
    """Takes lists of such values, of one length if one is given."""
    return lambda value: (
        isinstance(value, list | tuple)
        and all(map(check, value))
        and (length is None or len(value) == length)
    )


FILE_ENTRIES: dict[str, tuple[TypeTest, str]] = {
    'task': (is_text, 'a text'),
    'part': (is_text, 'a text'),
    'form': (optional(is_text), 'a text'),
    'precision': (is_text, 'a text'),
    'outputs': (listing(is_text), 'a list of names'),
    'input': (is_mapping, 'an object'),
    'arch': (optional(lambda value: is_text(value) or is_mapping(value)), 'a text or an object'),
    'classes': (optional(listing(is_text)), 'a list of names'),
    'palette': (optional(listing(listing(is_number, 3))), 'a list of three numbers each'),
    'resize': (optional(listing(is_mapping)), 'a list of objects'),
    'opset': (optional(is_integer), 'a positive whole number'),
    'quantization': (optional(is_mapping), 'an object'),
}
"""For each entry of a file what it takes, and a word for that."""

INPUT_ENTRIES: dict[str, tuple[TypeTest, str]] = {
    'layout': (lambda value: value in ('NHWC', 'NCHW'), 'NHWC or NCHW'),
    'mean': (listing(is_number), 'a list of numbers'),
    'std': (listing(is_number), 'a list of numbers'),
    'network_channel_order': (is_text, 'a text'),
    'size_divisor': (is_integer, 'a positive whole number'),
    'static_shape': (optional(listing(is_integer, 2)), 'two positive whole numbers'),
    'batch': (optional(is_integer), 'a positive whole number'),
}
"""The same of the entry ``'input'``."""


def check_types(entries: Mapping[str, Any], table: Mapping[str, tuple[TypeTest, str]]) -> None:
    """Makes sure that the entries that are there have the values that they may have.

    Raises:
        ValueError: If one has not.
    """
    for name, (check, word) in table.items():
        if name in entries and not check(entries[name]):
            text = repr(entries[name])
            shown = text if len(text) < 60 else f'{text[:60]}...'
            raise ValueError(
                f'its metadata have {shown} as {name!r}, not {word}: export the model again'
            )
