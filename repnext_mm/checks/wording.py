"""Words of findings: examples, near matches, counts."""

import difflib
import re
from collections.abc import Iterable, Sequence


def examples(items: Iterable[object], limit: int = 3) -> str:
    """The first few of some things in a line: ``'a', 'b', 'c' and 5 more``."""
    listed = list(items)
    text = ', '.join(map(repr, listed[:limit]))
    rest = len(listed) - limit
    return f'{text} and {rest} more' if rest > 0 else text


def of_all(count: int, total: int, noun: str) -> str:
    """How many of all, with a noun in the plural: ``3 of 40 images``, ``all 40 images``."""
    return f'all {total} {noun}' if count == total else f'{count} of {total} {noun}'


def near_match(name: str, candidates: Sequence[str]) -> str | None:
    """The candidate that a name probably means: other case, spaces or a slip of the keyboard."""
    plain = {_plain(candidate): candidate for candidate in candidates}
    if _plain(name) in plain:
        return plain[_plain(name)]
    close = difflib.get_close_matches(_plain(name), list(plain), n=1, cutoff=0.8)
    return plain[close[0]] if close else None


def as_classes(names: Iterable[str]) -> str:
    """A line for the config: ``classes = ('screw', 'nut')``."""
    return f'classes = {tuple(names)!r}'


def _plain(name: str) -> str:
    return re.sub(r'[\W_]+', '', name.casefold())
