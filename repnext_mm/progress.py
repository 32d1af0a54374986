"""How far a long task is, on the terminal."""

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

from repnext_mm.compat import require_extra

Entry = TypeVar('Entry')


def shown(items: Sequence[Entry], title: str) -> Iterable[Entry]:
    """Goes through items and shows on stderr how many are done and the time that is left."""
    require_extra('rich', 'data', 'showing progress')
    from rich.console import Console
    from rich.progress import track

    return track(items, title, console=Console(file=sys.stderr))
