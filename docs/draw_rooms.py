"""Draws the rooms of the package, and who imports whom: ``python docs/draw_rooms.py``.

Needs Python alone, and writes docs/rooms.svg. A test compares that file with the code.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

from rooms import FLOORS, GROUND, PACKAGE, ROOT, Room, floor_of, read_rooms

PICTURE = ROOT / 'docs' / 'rooms.svg'

# Sizes in pixels.
WIDTH, MARGIN, GAP, BETWEEN = 1200, 56, 44, 66
WIDEST = 250
LINE, PADDING, CHARACTER = 15, 14, 5.9
LANE = 7

MOST_ARROWS = 12
"""A room that knows more rooms has their number in the place of arrows, which would hide the others."""

TORCH, MM = ('#e3f4e6', '#2f9e5a'), ('#fdf0d8', '#c98a1b')
"""Fill and line of rooms that need none of the mm packages, and of those that need some."""

GREY, RED, INK, SOFT = '#8b949e', '#d1242f', '#1f2933', '#57606a'


class Box(NamedTuple):
    """Where a room is drawn; ``x`` and ``y`` are its upper left corner."""

    x: float
    y: float
    width: float
    height: float


Point = tuple[float, float]


def draw(rooms: Mapping[str, Room]) -> str:
    """The picture of the rooms as SVG."""
    for name in rooms:
        floor_of(name)
    floors = [[name for name in floor if name in rooms] for floor in FLOORS]
    boxes = place(rooms, floors)
    above = {name: room for name, room in rooms.items() if name in boxes}
    bottom = max(box.y + box.height for box in boxes.values()) + 34
    slab, height = draw_ground(rooms, bottom)
    parts = [
        *draw_arrows(with_arrows(above), boxes, floors),
        *(draw_room(room, boxes[name]) for name, room in above.items()),
        slab,
        draw_legend(bottom + height + 26),
    ]
    total = bottom + height + 44
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total:g}" width="{WIDTH}" '
        f'height="{total:g}" font-family="system-ui, -apple-system, \'Segoe UI\', Helvetica, '
        f'Arial, sans-serif" role="img" aria-label="The rooms of {PACKAGE} and their imports">\n'
        + '\n'.join(parts)
        + '\n</svg>\n'
    )


def with_arrows(rooms: Mapping[str, Room]) -> dict[str, Room]:
    """The rooms, without the imports of those that know too many."""
    return {
        name: room._replace(imports=frozenset()) if knows_many(room) else room
        for name, room in rooms.items()
    }


def knows_many(room: Room) -> bool:
    """Whether a room knows more rooms above the ground than arrows can show."""
    return len(room.imports - set(GROUND)) > MOST_ARROWS


def place(rooms: Mapping[str, Room], floors: Sequence[Sequence[str]]) -> dict[str, Box]:
    """Puts each floor's rooms in a row, the top floor first."""
    boxes, y = {}, 12.0
    for floor in reversed(floors):
        width = min(WIDEST, (WIDTH - 2 * MARGIN - GAP * (len(floor) - 1)) / len(floor))
        lines = {name: len(body_lines(rooms[name], width)) for name in floor}
        height = 2 * PADDING + LINE * (1 + max(lines.values()))
        row = width * len(floor)
        gap = min((WIDTH - 2 * MARGIN - row) / (len(floor) + 1), 2.6 * GAP)
        gap = max(gap, GAP)
        x = (WIDTH - row - gap * (len(floor) - 1)) / 2
        for number, name in enumerate(floor):
            boxes[name] = Box(x + number * (width + gap), y, width, height)
        y += height + BETWEEN
    return boxes


def body_lines(room: Room, width: float) -> list[tuple[str, str]]:
    """Lines of text below a room's name, and the colour of each."""
    characters = int((width - 2 * PADDING) / CHARACTER)
    lines = [(text, INK) for text in wrap(room.sentence, characters)]
    ground = sorted(room.imports & set(GROUND), key=GROUND.index)
    if knows_many(room):
        known = len(room.imports - set(GROUND))
        lines += [(text, INK) for text in wrap(f'(knows {known} rooms; no arrows)', characters)]
    if ground:
        lines += [(text, SOFT) for text in wrap('on ' + ', '.join(ground), characters)]
    return lines


def wrap(text: str, characters: int) -> list[str]:
    """Breaks a text into lines, as even as their number allows."""
    lines = textwrap.wrap(text, characters)
    for narrower in range(characters - 1, characters // 2, -1):
        candidate = textwrap.wrap(text, narrower)
        if len(candidate) > len(lines):
            break
        lines = candidate
    return lines


def draw_room(room: Room, box: Box) -> str:
    """A box with the room's name, its sentence and what it takes from the ground."""
    fill, line = MM if room.needs_mm else TORCH
    middle, y = box.x + box.width / 2, box.y + PADDING + 11
    texts = [
        f'<text x="{middle:.1f}" y="{y:.1f}" font-size="15" font-weight="600" fill="{INK}">'
        f'{escape(room.name)}</text>'
    ]
    for number, (text, colour) in enumerate(body_lines(room, box.width), 1):
        size = 11.5 if colour == INK else 10.5
        texts.append(
            f'<text x="{middle:.1f}" y="{y + 2 + number * LINE:.1f}" font-size="{size}" '
            f'fill="{colour}">{escape(text)}</text>'
        )
    return (
        f'<g text-anchor="middle"><rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="9" fill="{fill}" stroke="{line}" stroke-width="1.2"/>'
        + ''.join(texts)
        + '</g>'
    )


def draw_ground(rooms: Mapping[str, Room], y: float) -> tuple[str, float]:
    """The ground with its rooms in two columns, and its height."""
    names = [name for name in GROUND if name in rooms]
    rows = (len(names) + 1) // 2
    height, width = 2 * PADDING + 19 * rows - 4, WIDTH - 2 * MARGIN
    longest = max(len(name + rooms[name].sentence) for name in names[:rows])
    texts = []
    for number, name in enumerate(names):
        x = MARGIN + 20 + (number // rows) * max(width / 2, CHARACTER * longest + 50)
        place_y = y + PADDING + 11 + (number % rows) * 19
        texts.append(
            f'<text x="{x:.1f}" y="{place_y:.1f}" fill="{INK}"><tspan font-size="13" '
            f'font-weight="600">{escape(name)}</tspan><tspan font-size="11.5" dx="9">'
            f'{escape(rooms[name].sentence)}</tspan></text>'
        )
    slab = (
        f'<g><rect x="{MARGIN}" y="{y:.1f}" width="{width}" height="{height}" rx="9" '
        f'fill="#e9ecef" stroke="{GREY}" stroke-width="1.2"/>' + ''.join(texts) + '</g>'
    )
    return slab, height


def draw_legend(y: float) -> str:
    """What colours and lines mean."""
    parts, x = [], MARGIN
    for (fill, line), text in ((TORCH, 'needs no mm package'), (MM, 'needs mm packages')):
        parts.append(
            f'<rect x="{x}" y="{y - 10:.1f}" width="14" height="12" rx="3" fill="{fill}" '
            f'stroke="{line}"/><text x="{x + 21}" y="{y:.1f}">{text}</text>'
        )
        x += 175
    parts.append(
        f'<text x="{x}" y="{y:.1f}">lines lead down to the rooms that are imported; “on” names those of the ground</text>'
    )
    return f'<g font-size="11.5" fill="{GREY}">' + ''.join(parts) + '</g>'


def draw_arrows(
    rooms: Mapping[str, Room], boxes: Mapping[str, Box], floors: Sequence[Sequence[str]]
) -> list[str]:
    """A line from each room to each that it imports, through the gaps of the floors between."""
    edges = [
        (source, target)
        for source in boxes
        for target in sorted(rooms[source].imports)
        if target in boxes
    ]
    ways = {edge: gaps_on_the_way(edge, boxes, floors) for edge in edges}
    lanes = spread_lanes(ways, boxes)
    starts = spread_ports(edges, boxes, ways, outgoing=True)
    ends = spread_ports(edges, boxes, ways, outgoing=False)
    lines = []
    for edge in edges:
        source, target = (boxes[name] for name in edge)
        downwards = source.y < target.y
        points: list[Point] = [(starts[edge], source.y + (source.height if downwards else 0))]
        for floor, gap in ways[edge]:
            box = boxes[floors[floor][0]]
            x = gap + lanes[edge, floor]
            points += [(x, box.y - 6), (x, box.y + box.height + 6)]
        points.append((ends[edge], target.y - 5 if downwards else target.y + target.height + 5))
        colour = (MM if rooms[edge[0]].needs_mm else TORCH)[1] if downwards else RED
        lines.append(draw_line(points, colour, ' to '.join(edge), 1 if downwards else -1))
    return lines


def gaps_on_the_way(
    edge: tuple[str, str], boxes: Mapping[str, Box], floors: Sequence[Sequence[str]]
) -> list[tuple[int, float]]:
    """For each floor between two rooms its number, and the middle of the gap to pass."""
    source, target = edge
    upper, lower = floor_of(source) - 1, floor_of(target) - 1
    start, end = (boxes[name].x + boxes[name].width / 2 for name in edge)
    found = []
    for step, floor in enumerate(range(upper - 1, lower, -1), 1):
        straight = start + (end - start) * step / (upper - lower)
        row = [boxes[name] for name in floors[floor]]
        gaps = [(a.x + a.width + b.x) / 2 for a, b in pairwise(row)]
        gaps += [row[0].x - GAP / 2, row[-1].x + row[-1].width + GAP / 2]
        found.append((floor, min(gaps, key=lambda gap: abs(gap - straight))))
    return found


Ways = Mapping[tuple[str, str], Sequence[tuple[int, float]]]


def spread_lanes(ways: Ways, boxes: Mapping[str, Box]) -> dict[tuple[tuple[str, str], int], float]:
    """Sideways shifts that keep lines apart which pass the same gap."""
    passing: dict[tuple[int, float], list[tuple[str, str]]] = {}
    for edge in sorted(ways, key=lambda edge: [boxes[name].x for name in reversed(edge)]):
        for stop in ways[edge]:
            passing.setdefault(stop, []).append(edge)
    return {
        (edge, floor): (number - (len(edges) - 1) / 2) * LANE
        for (floor, _), edges in passing.items()
        for number, edge in enumerate(edges)
    }


def spread_ports(
    edges: Sequence[tuple[str, str]], boxes: Mapping[str, Box], ways: Ways, outgoing: bool
) -> dict[tuple[str, str], float]:
    """Where lines leave or reach their boxes, in the order of where they come from or go to."""
    found = {}
    for name, box in boxes.items():
        ours = [edge for edge in edges if edge[0 if outgoing else 1] == name]
        ours.sort(key=lambda edge: neighbour(edge, boxes, ways[edge], outgoing))
        for number, edge in enumerate(ours, 1):
            found[edge] = box.x + box.width * (0.1 + 0.8 * number / (len(ours) + 1))
    return found


def neighbour(
    edge: tuple[str, str],
    boxes: Mapping[str, Box],
    way: Sequence[tuple[int, float]],
    outgoing: bool,
) -> float:
    """The horizontal place of the first stop, or of the last, on a line's way."""
    if way:
        return way[0 if outgoing else -1][1]
    other = boxes[edge[1 if outgoing else 0]]
    return other.x + other.width / 2


def draw_line(points: Iterable[Point], colour: str, title: str, direction: int) -> str:
    """A smooth line through points, with an arrowhead at its end."""
    points = list(points)
    path = f'M{points[0][0]:.1f} {points[0][1]:.1f}'
    for (x0, y0), (x1, y1) in pairwise(points):
        bend = (y1 - y0) / 2
        path += f' C{x0:.1f} {y0 + bend:.1f} {x1:.1f} {y1 - bend:.1f} {x1:.1f} {y1:.1f}'
    x, y = points[-1]
    head = f'M{x - 3.2:.1f} {y - 2 * direction:.1f} L{x:.1f} {y + 4 * direction:.1f} '
    head += f'L{x + 3.2:.1f} {y - 2 * direction:.1f} Z'
    return (
        f'<g><title>{escape(title)}</title><path d="{path}" fill="none" stroke="{colour}" '
        f'stroke-width="1.1" opacity="0.75"/><path d="{head}" fill="{colour}"/></g>'
    )


if __name__ == '__main__':
    PICTURE.write_text(draw(read_rooms()), encoding='utf-8')
