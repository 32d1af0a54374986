"""How far a long task is, on the terminal."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from repnext_mm.compat import require_extra

Element = TypeVar('Element')


def with_progress(
    items: Iterable[Element], title: str, count: int | None = None
) -> Iterable[Element]:
    """Goes through items and shows on stderr how many are done and the time that is left.

    Args:
        items: Anything to go through.
        title: What is done with them.
        count: How many there are, for items without a length.
    """
    require_extra('rich', 'data', 'showing progress')
    from rich.console import Console
    from rich.progress import track

    return track(items, title, count, console=Console(file=sys.stderr))
