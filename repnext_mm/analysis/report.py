"""The files of an analysis: numbers, pictures and one page with both."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from repnext_mm.files import to_json, write_bytes, write_text
from repnext_mm.html_page import (
    Cell,
    Markup,
    Number,
    figure,
    gallery,
    heading,
    page,
    paragraph,
    table,
)


class Picture(NamedTuple):
    """A PNG or JPEG file."""

    name: str
    """Path within the folder of the analysis, such as ``'worst/1.jpg'``."""

    content: bytes
    caption: str


class Gallery(NamedTuple):
    """Pictures side by side."""

    pictures: Sequence[Picture]
    width: int = 20
    """Of a picture, at least, as :func:`repnext_mm.html_page.gallery` takes it."""


class ReportTable(NamedTuple):
    """Rows of texts and numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    sortable: bool = False


class Section(NamedTuple):
    """A part of the page; texts are paragraphs."""

    title: str
    parts: Sequence[str | ReportTable | Picture | Gallery]
    level: int = 2


class AnalysisReport(NamedTuple):
    """All that an analysis has found."""

    numbers: dict[str, Any]
    """For ``analysis.json``."""

    sections: Sequence[Section]


def write_analysis(
    report: AnalysisReport, folder: Path, title: str, source: dict[str, Any]
) -> Path:
    """Writes ``analysis.json``, the pictures and ``analysis.html``.

    Args:
        report: What was found.
        folder: Where to.
        title: Of the page.
        source: What was analysed, such as the names of config and checkpoint.

    Returns:
        The path of the page.
    """
    write_text(folder / 'analysis.json', to_json(source | report.numbers))
    for picture in _pictures(report.sections):
        write_bytes(folder / picture.name, picture.content)
    named = {key: value for key, value in source.items() if isinstance(value, str)}
    parts = [table(['', ''], [(key.replace('_', ' '), value) for key, value in named.items()])]
    for section in report.sections:
        parts += [heading(section.title, section.level), *map(_part, section.parts)]
    path = folder / 'analysis.html'
    write_text(path, page(title, parts))
    return path


def _pictures(sections: Iterable[Section]) -> Iterable[Picture]:
    for section in sections:
        for part in section.parts:
            if isinstance(part, Picture):
                yield part
            elif isinstance(part, Gallery):
                yield from part.pictures


def _part(part: str | ReportTable | Picture | Gallery) -> Markup:
    if isinstance(part, ReportTable):
        return table(part.header, part.rows, part.sortable)
    if isinstance(part, Picture):
        return figure(part.content, part.caption, part.caption)
    if isinstance(part, Gallery):
        return gallery((_part(picture) for picture in part.pictures), part.width)
    return paragraph(part)


def percent(share: float | None) -> Number:
    """A share of 1 as a cell, in percent; empty for None, NaN and COCO's -1, which say "none"."""
    if share is None or not share >= 0:
        return Number(None, '')
    return Number(share, f'{100 * share:.1f}')


def count(number: int) -> Number:
    """A whole number as a cell."""
    return Number(int(number), f'{int(number):,}')


def decimal(value: float | None, digits: int = 3) -> Number:
    """A number as a cell; empty for None and NaN."""
    if value is None or value != value:
        return Number(None, '')
    return Number(value, f'{value:.{digits}f}')
