"""Names beside the points of a picture, which do not cover each other."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

LABEL_SIZE = 7
POINT = 4
"""Half of the side in pixels of what a point covers."""


class Place(NamedTuple):
    """Where a name stands: its offset from the point in typographic points, and its alignment."""

    offset: tuple[float, float]
    horizontal: str
    vertical: str


def _places(distance: float) -> list[Place]:
    right, left = (5, 'left'), (-5, 'right')
    return [
        Place((x, y), horizontal, vertical)
        for y, vertical in ((distance, 'bottom'), (-distance, 'top'))
        for x, horizontal in (right, left, (0, 'center'))
    ]


LABEL_PLACES = [*_places(3), *_places(9), *_places(16)]
"""In the order in which they are tried."""


def label_points(axes: Axes, points: Sequence[tuple[float, float, str]]) -> list[Bbox]:
    """Writes a name beside each point, where it covers the least of other names, points and the frame.

    Args:
        axes: With all that decides on its size, and the points themselves, drawn.
        points: x, y and name.

    Returns:
        What each name covers, in pixels.
    """
    figure = axes.get_figure()
    assert figure is not None
    figure.draw_without_rendering()  # type: ignore[union-attr]
    frame = axes.get_window_extent()
    taken = [_around(*axes.transData.transform((x, y))) for x, y, _ in points]
    names = []
    for x, y, name in points:
        text = axes.annotate(
            name, (x, y), xytext=(0, 0), fontsize=LABEL_SIZE, textcoords='offset points'
        )
        text.set_in_layout(False)

        def box_at(place: Place, text=text) -> Bbox:
            text.set(
                position=place.offset,
                horizontalalignment=place.horizontal,
                verticalalignment=place.vertical,
            )
            return text.get_window_extent()

        best = min(LABEL_PLACES, key=lambda place: _covered(box_at(place), taken, frame))
        names.append(box_at(best))
        taken.append(names[-1])
    return names


def _around(x: float, y: float) -> Bbox:
    return Bbox([[x - POINT, y - POINT], [x + POINT, y + POINT]])


def _covered(box: Bbox, taken: Sequence[Bbox], frame: Bbox) -> float:
    """Square pixels of the box that are taken, or outside the frame."""
    outside = _area(box) - _area(Bbox.intersection(box, frame))
    return outside + sum(_area(Bbox.intersection(box, other)) for other in taken)


def _area(box: Bbox | None) -> float:
    return 0.0 if box is None else float(box.width * box.height)
