"""One HTML page about a data set, which needs no other file and no network."""

from collections.abc import Iterable, Sequence
from html import escape

from repnext_mm.checks.findings import Finding
from repnext_mm.checks.inspection.samples import Sample
from repnext_mm.checks.inspection.statistics import Split
from repnext_mm.html_page import (
    Markup,
    Number,
    bar,
    figure,
    gallery,
    heading,
    note,
    page,
    paragraph,
    picture,
    table,
)

MOST_ROWS = 100
"""Classes in a table."""


def write_page(
    title: str,
    findings: Sequence[Finding],
    splits: Sequence[Split],
    samples: Sequence[Sample],
    sizes: bytes | None,
) -> str:
    """The page as text.

    Args:
        title: Name of the config.
        findings: What was found.
        splits: Numbers of the datasets.
        samples: Training samples to show.
        sizes: PNG file with object sizes; None for none.
    """
    count = sum(finding.level == 'error' for finding in findings)
    verdict = (
        f'{count} error(s), {len(findings) - count} warning(s)' if findings else 'Nothing found'
    )
    parts = [
        paragraph(Markup(f'<strong>{verdict}.</strong>')),
        *map(_finding, sorted(findings, key=lambda finding: finding.level)),
        heading('Data'),
        _summary(splits),
    ]
    if samples:
        parts += [heading('Training samples behind the pipeline'), _samples(samples)]
    if sizes:
        parts += [
            heading('Object sizes and anchors'),
            picture(sizes, 'histogram of object sizes'),
        ]
    parts += [part for split in splits for part in _classes(split)]
    return page(title, parts)


def _finding(finding: Finding) -> Markup:
    text = (
        f'<strong>{finding.level}</strong> '
        f'<code>{escape(finding.kind)}</code> {escape(finding.place)}<br>'
        f'{escape(finding.message)}.<br>{escape(finding.remedy)}.'
    )
    return note(Markup(text), finding.level)


def _summary(splits: Sequence[Split]) -> Markup:
    rows = [
        (split.split, split.source, _count(split.images), _count(_total(split)), split.unit)
        for split in splits
    ]
    return table(['split', 'from', 'images', 'contents', ''], rows)


def _count(number: int) -> Number:
    return Number(number, f'{number:,}')


def _total(split: Split) -> int:
    return sum(split.counts.values())


def _samples(samples: Iterable[Sample]) -> Markup:
    return gallery(
        figure(
            sample.png(),
            sample.name,
            f'{sample.name}, {sample.size[0]}x{sample.size[1]}: {sample.caption}',
        )
        for sample in samples
    )


def _classes(split: Split) -> list[Markup]:
    most = max(split.counts.values(), default=0) or 1
    total = _total(split) or 1
    rows = [
        (name, _count(count), Number(count / total, f'{count / total:.1%}'), bar(count / most))
        for name, count in list(split.counts.items())[:MOST_ROWS]
    ]
    parts = [
        heading(f'Classes: {split.split}'),
        table(['class', split.unit, 'share', ''], rows, sortable=True),
    ]
    rest = len(split.counts) - MOST_ROWS
    return [*parts, paragraph(f'{rest} more classes are in report.json.')] if rest > 0 else parts
