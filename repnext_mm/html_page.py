"""HTML pages that need no other file and no network: frame, style, tables, pictures within.

Every text is escaped, unless it is :class:`Markup`, which these functions return.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

PAGE_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
       color: #222; background: #fff; }
h1, h2, h3 { line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin-top: 2.2rem; padding-top: .8rem; border-top: 1px solid #ddd; }
.table { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0 1rem; }
th, td { text-align: left; padding: .25rem .8rem; vertical-align: top; }
th { border-bottom: 2px solid #bbb; vertical-align: bottom; }
td { border-bottom: 1px solid #eee; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number { white-space: nowrap; }
tbody tr:hover { background: #f5f8fb; }
.sortable th { cursor: pointer; }
.sortable th::after { content: " \\2195"; color: #bbb; }
.sortable th[aria-sort=ascending]::after { content: " \\2191"; color: #222; }
.sortable th[aria-sort=descending]::after { content: " \\2193"; color: #222; }
.bar { background: #0072b2; height: .8rem; display: inline-block; min-width: 1px; }
.note { border-left: .4rem solid #0072b2; padding: .3rem .8rem; margin: .6rem 0;
        background: #eef5fb; overflow-wrap: anywhere; }
.note.warning { border-color: #e69f00; background: #fdf6e6; }
.note.error { border-color: #d00000; background: #fdecec; }
.gallery { display: grid; gap: 1rem; }
figure { margin: 0 0 1rem; }
img { max-width: 100%; height: auto; }
figcaption { font-size: 13px; color: #555; overflow-wrap: anywhere; }
code { background: #f0f0f0; padding: 0 .2rem; }
pre { background: #f0f0f0; padding: .5rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
"""

SORTING = """
document.querySelectorAll('table.sortable th').forEach((head) => head.addEventListener('click', () => {
  const body = head.closest('table').tBodies[0];
  const down = head.getAttribute('aria-sort') !== 'descending';
  const key = (row) => row.cells[head.cellIndex].dataset.value ?? row.cells[head.cellIndex].textContent;
  const compare = (a, b) => a === '' ? 1 : b === '' ? -1 : (down ? -1 : 1) *
    (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  [...body.rows].sort((a, b) => compare(key(a), key(b))).forEach((row) => body.append(row));
  head.parentNode.querySelectorAll('th').forEach((other) => other.removeAttribute('aria-sort'));
  head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
}));
"""
"""Sorts a table by the column whose head is clicked; empty cells come last."""

MEDIA_TYPES = {b'\x89PNG': 'image/png', b'\xff\xd8\xff': 'image/jpeg'}
"""By the first bytes of a file."""


class Markup(str):
    """Text that is HTML already, and stays as it is."""

    __slots__ = ()


class Number(NamedTuple):
    """A cell with a number: right-aligned, and sorted by its value."""

    value: float | None
    """None for none, which is an empty cell."""

    text: str
    """As it is shown, such as ``'41.3'``."""


Cell = str | Number


def as_markup(text: str) -> Markup:
    """Escapes a text for HTML, unless it is HTML already."""
    return text if isinstance(text, Markup) else Markup(escape(text, quote=True))


def page(title: str, parts: Iterable[Markup]) -> str:
    """A whole page.

    Args:
        title: In the head, and as the heading of the page.
        parts: What follows, from the other functions.
    """
    body = '\n'.join(parts)
    script = f'<script>{SORTING}</script>\n' if 'class="sortable"' in body else ''
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{as_markup(title)}</title>'
        f'<style>{PAGE_STYLE}</style></head><body>\n<h1>{as_markup(title)}</h1>\n{body}\n{script}'
        '</body></html>\n'
    )


def heading(text: str, level: int = 2) -> Markup:
    """A heading; the page's own is of level 1."""
    return Markup(f'<h{level}>{as_markup(text)}</h{level}>')


def paragraph(text: str) -> Markup:
    """A paragraph of text."""
    return Markup(f'<p>{as_markup(text)}</p>')


def note(text: str, kind: str = '') -> Markup:
    """A framed text.

    Args:
        text: What it says.
        kind: ``'warning'``, ``'error'`` or empty.
    """
    return Markup(f'<div class="{as_markup(f"note {kind}".strip())}">{as_markup(text)}</div>')


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]], sortable: bool = False) -> Markup:
    """A table.

    Args:
        header: A text for each column.
        rows: Texts and :class:`Number` for each column. A column is one of numbers if its first
            cell is.
        sortable: Whether a click on the head of a column sorts by it, the largest first.
    """
    rows = list(rows)
    numeric = [isinstance(cell, Number) for cell in rows[0]] if rows else [False] * len(header)
    head = ''.join(
        f'<th{_number_class(is_number)}>{as_markup(text)}</th>'
        for text, is_number in zip(header, numeric, strict=True)
    )
    body = ''.join(f'<tr>{"".join(map(_cell, row))}</tr>\n' for row in rows)
    kind = ' class="sortable"' if sortable else ''
    return Markup(
        f'<div class="table"><table{kind}><thead><tr>{head}</tr></thead>\n'
        f'<tbody>{body}</tbody></table></div>'
    )


def _cell(cell: Cell) -> str:
    if not isinstance(cell, Number):
        return f'<td>{as_markup(cell)}</td>'
    if cell.value is None:
        return '<td class="number" data-value=""></td>'
    return f'<td class="number" data-value="{cell.value:.9g}">{as_markup(cell.text)}</td>'


def _number_class(is_number: bool) -> str:
    return ' class="number"' if is_number else ''


def bar(share: float) -> Markup:
    """A bar for a cell of a table, 16 characters long for a share of 1."""
    return Markup(f'<span class="bar" style="width: {16 * share:.2f}rem"></span>')


def picture(content: bytes, text: str) -> Markup:
    """A picture within the page.

    Args:
        content: A PNG or JPEG file.
        text: What it shows, for those who cannot see it.

    Raises:
        ValueError: If the content is neither.
    """
    for start, media_type in MEDIA_TYPES.items():
        if content.startswith(start):
            data = b64encode(content).decode()
            return Markup(f'<img src="data:{media_type};base64,{data}" alt="{as_markup(text)}">')
    raise ValueError(f'a picture is a PNG or JPEG file, got one that begins with {content[:4]!r}')


def figure(content: bytes, text: str, caption: str = '') -> Markup:
    """A picture with a caption.

    Args:
        content: A PNG or JPEG file.
        text: What it shows, for those who cannot see it.
        caption: Stands below it.
    """
    below = f'<figcaption>{as_markup(caption)}</figcaption>' if caption else ''
    return Markup(f'<figure>{picture(content, text)}{below}</figure>')


def gallery(figures: Iterable[Markup], width: int = 20) -> Markup:
    """Figures side by side, as many as fit.

    Args:
        figures: From :func:`figure`.
        width: Of a figure, at least, in letters ("em" of the root); the page has room for 72.
    """
    columns = f'repeat(auto-fill, minmax(min(100%, {width}rem), 1fr))'
    style = f'style="grid-template-columns: {columns}"'
    return Markup(f'<div class="gallery" {style}>{"".join(figures)}</div>')
