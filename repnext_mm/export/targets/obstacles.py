"""What a target does not take of a file, why, and what to do."""

from collections.abc import Sequence
from typing import NamedTuple


class Obstacle(NamedTuple):
    """A part of a file that a target does not take."""

    place: str
    """The node, or what else it is."""

    reason: str
    """What is wrong with it."""

    remedy: str
    """What to do."""

    def __str__(self) -> str:
        return f'{self.place}: {self.reason}; {self.remedy}'


def by_reason(findings: Sequence[Obstacle]) -> list[str]:
    """A line for each pair of reason and remedy, with the first place and how many there are."""
    places: dict[tuple[str, str], list[str]] = {}
    for row in findings:
        places.setdefault((row.reason, row.remedy), []).append(row.place)
    return [
        f'{names[0]}{f" and {len(names) - 1} more" if len(names) > 1 else ""}: {reason}; {remedy}'
        for (reason, remedy), names in places.items()
    ]
