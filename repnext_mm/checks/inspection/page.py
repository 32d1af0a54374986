"""One HTML page about a data set, which needs no other file and no network."""

from collections.abc import Iterable, Sequence
from html import escape

from repnext_mm.checks.findings import Finding
from repnext_mm.checks.inspection.samples import Sample
from repnext_mm.checks.inspection.statistics import Split
from repnext_mm.visualization.page import document, inline_image

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
        f'<h1>{escape(title)}</h1>',
        f'<p><strong>{verdict}.</strong></p>',
        *map(_finding, sorted(findings, key=lambda finding: finding.level)),
        '<h2>Data</h2>',
        _summary(splits),
    ]
    if samples:
        parts += ['<h2>Training samples behind the pipeline</h2>', _samples(samples)]
    if sizes:
        parts += [
            '<h2>Object sizes and anchors</h2>',
            inline_image(sizes, 'histogram of object sizes'),
        ]
    parts += [_classes(split) for split in splits]
    return document(title, parts)


def _finding(finding: Finding) -> str:
    return (
        f'<div class="finding {finding.level}"><strong>{finding.level}</strong> '
        f'<code>{escape(finding.kind)}</code> {escape(finding.place)}<br>'
        f'{escape(finding.message)}.<br>{escape(finding.remedy)}.</div>'
    )


def _summary(splits: Sequence[Split]) -> str:
    rows = [
        (split.split, split.source, split.images, sum(split.counts.values()), split.unit)
        for split in splits
    ]
    body = ''.join(
        f'<tr><td>{escape(name)}</td><td>{escape(source)}</td><td class="number">{images:,}</td>'
        f'<td class="number">{count:,}</td><td>{escape(unit)}</td></tr>'
        for name, source, images, count, unit in rows
    )
    head = '<tr><th>split</th><th>from</th><th>images</th><th>contents</th><th></th></tr>'
    return f'<table>{head}{body}</table>'


def _samples(samples: Iterable[Sample]) -> str:
    figures = ''.join(
        f'<figure>{inline_image(sample.png(), sample.name)}<figcaption>{escape(sample.name)}, '
        f'{sample.size[0]}x{sample.size[1]}: {escape(sample.caption)}</figcaption></figure>'
        for sample in samples
    )
    return f'<div class="samples">{figures}</div>'


def _classes(split: Split) -> str:
    most = max(split.counts.values(), default=0) or 1
    total = sum(split.counts.values()) or 1
    rows = ''.join(
        f'<tr><td>{escape(name)}</td><td class="number">{count:,}</td>'
        f'<td class="number">{count / total:.1%}</td>'
        f'<td><span class="bar" style="width: {16 * count / most:.2f}rem"></span></td></tr>'
        for name, count in list(split.counts.items())[:MOST_ROWS]
    )
    rest = len(split.counts) - MOST_ROWS
    more = f'<p>{rest} more classes are in report.json.</p>' if rest > 0 else ''
    return (
        f'<h2>Classes: {escape(split.split)}</h2><table><tr><th>class</th>'
        f'<th>{escape(split.unit)}</th><th></th><th></th></tr>{rows}</table>{more}'
    )
