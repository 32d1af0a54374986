"""What the drawings of the documentation are made of: a white card, boxes, lines, texts.

Sizes are in pixels of a card that is :data:`WIDTH` wide. Texts have 12 or more, so that they can be
read where a page shows the card at 800 pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent
WIDTH = 960
INK, SOFT, FRAME = '#1f2933', '#57606a', '#d0d7de'
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"

Point = tuple[float, float]


class Paint(NamedTuple):
    """Colours of a box."""

    fill: str
    line: str


DEPTHWISE = Paint('#dbeafe', '#3b82f6')
POINTWISE = Paint('#ede9fe', '#8b5cf6')
NORM = Paint('#fef3c7', '#d9a406')
ACTIVATION = Paint('#dcfce7', '#22a35a')
CARRIED = Paint('#f6f8fa', '#8b949e')
PLAIN = Paint('#ffffff', '#8b949e')


class Drawing:
    """Parts of a picture, in the order in which they cover each other.

    Args:
        height: Of the card; it is :data:`WIDTH` wide.
        title: What the picture shows, for those who do not see it.
    """

    def __init__(self, height: float, title: str):
        self.height = height
        self.title = title
        self.parts: list[str] = []

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 13,
        colour: str = INK,
        anchor: str = 'middle',
        bold: bool = False,
        mono: bool = False,
    ) -> None:
        """A line of text on the baseline ``y``."""
        weight = ' font-weight="600"' if bold else ''
        family = ' font-family="ui-monospace, SFMono-Regular, Menlo, monospace"' if mono else ''
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}" '
            f'text-anchor="{anchor}"{weight}{family}>{escape(text)}</text>'
        )

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        paint: Paint,
        *lines: str,
        size: float = 13,
        dashed: bool = False,
        radius: float = 7,
    ) -> None:
        """A box with lines of text in its middle; ``x`` and ``y`` are its upper left corner."""
        dashes = ' stroke-dasharray="5 4"' if dashed else ''
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" '
            f'fill="{paint.fill}" stroke="{paint.line}" stroke-width="1.3"{dashes}/>'
        )
        step = size + 3
        first = y + height / 2 + 0.36 * size - step * (len(lines) - 1) / 2
        for number, line in enumerate(lines):
            self.text(x + width / 2, first + number * step, line, size)

    def line(
        self,
        *points: Point,
        colour: str = SOFT,
        arrow: bool = True,
        dashed: bool = False,
        width: float = 1.4,
    ) -> None:
        """Straight lines through points, with rounded corners and an arrowhead at the end."""
        dashes = ' stroke-dasharray="5 4"' if dashed else ''
        self.parts.append(
            f'<path d="{_rounded(points)}" fill="none" stroke="{colour}" '
            f'stroke-width="{width:g}"{dashes}/>'
        )
        if arrow:
            self._head(points[-2], points[-1], colour)

    def curve(
        self, start: Point, end: Point, colour: str = SOFT, dashed: bool = False, arrow: bool = True
    ) -> None:
        """A line that leaves and arrives horizontally."""
        dashes = ' stroke-dasharray="5 4"' if dashed else ''
        bend = (end[0] - start[0]) / 2
        self.parts.append(
            f'<path d="M{start[0]:g} {start[1]:g} C{start[0] + bend:g} {start[1]:g} '
            f'{end[0] - bend:g} {end[1]:g} {end[0]:g} {end[1]:g}" fill="none" stroke="{colour}" '
            f'stroke-width="1.4"{dashes}/>'
        )
        if arrow:
            self._head((end[0] - bend, end[1]), end, colour)

    def add(self, x: float, y: float) -> None:
        """A circle with a plus sign: a sum of what arrives there."""
        self.parts.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="9" fill="#ffffff" stroke="{INK}" '
            f'stroke-width="1.3"/><path d="M{x - 4.5:g} {y:g} h9 M{x:g} {y - 4.5:g} v9" '
            f'stroke="{INK}" stroke-width="1.5"/>'
        )

    def legend(self, y: float, entries: Mapping[str, Paint], x: float = 40) -> None:
        """What the colours mean, in a row."""
        for text, paint in entries.items():
            self.box(x, y - 11, 16, 13, paint, radius=3)
            self.text(x + 23, y, text, 12, SOFT, 'start')
            x += 46 + 6.2 * len(text)

    def svg(self) -> str:
        """The picture."""
        height = self.height
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
            f'width="{WIDTH}" height="{height:g}" font-family="{FONT}" role="img" '
            f'aria-label="{escape(self.title)}">\n'
            f'<rect x="1" y="1" width="{WIDTH - 2}" height="{height - 2:g}" rx="14" '
            f'fill="#ffffff" stroke="{FRAME}"/>\n' + '\n'.join(self.parts) + '\n</svg>\n'
        )

    def _head(self, before: Point, end: Point, colour: str) -> None:
        (x0, y0), (x, y) = before, end
        length = max(((x - x0) ** 2 + (y - y0) ** 2) ** 0.5, 1e-9)
        along, across = (
            ((x - x0) / length, (y - y0) / length),
            ((y0 - y) / length, (x - x0) / length),
        )
        corners = [
            (x - 7 * along[0] + side * across[0], y - 7 * along[1] + side * across[1])
            for side in (4, -4)
        ]
        path = ' L'.join(f'{a:.2f} {b:.2f}' for a, b in ((x, y), *corners))
        self.parts.append(f'<path d="M{path} Z" fill="{colour}"/>')


def _rounded(points: Sequence[Point], radius: float = 7) -> str:
    """A path of straight lines whose corners are round."""
    path = f'M{points[0][0]:g} {points[0][1]:g}'
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start, end = (_towards(corner, other, radius) for other in (before, after))
        path += f' L{start[0]:.2f} {start[1]:.2f} Q{corner[0]:g} {corner[1]:g} '
        path += f'{end[0]:.2f} {end[1]:.2f}'
    return path + f' L{points[-1][0]:g} {points[-1][1]:g}'


def _towards(start: Point, end: Point, distance: float) -> Point:
    length = max(((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5, 1e-9)
    part = min(distance / length, 0.5)
    return start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1])


def write(pictures: Iterable[tuple[str, Drawing]]) -> None:
    """Writes pictures beside this file."""
    for name, drawing in pictures:
        (FOLDER / name).write_text(drawing.svg(), encoding='utf-8')
