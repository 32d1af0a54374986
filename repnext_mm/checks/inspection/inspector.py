"""Everything that ``tools/check_dataset.py`` looks at, and the files it leaves."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.utils import ProgressBar

from repnext_mm.checks.data import CheckedData, check_datasets
from repnext_mm.checks.findings import Finding
from repnext_mm.checks.images import Extent
from repnext_mm.checks.inspection.duplicates import image_paths, report_shared, shared_images
from repnext_mm.checks.inspection.figures import draw_sizes
from repnext_mm.checks.inspection.page import write_page
from repnext_mm.checks.inspection.samples import Sample, read_samples
from repnext_mm.checks.inspection.statistics import (
    anchor_shapes,
    check_anchors,
    count_splits,
    find_anchor_generator,
)
from repnext_mm.files import to_plain, write_text

SAMPLES_READ = 60
"""Training samples for the sizes of objects."""
SAMPLES_SHOWN = 12


def track(items: Sequence, title: str) -> Iterator:
    """Gives the items, and shows on standard error how many are done."""
    print(f'{len(items)} {title}', file=sys.stderr)
    if not len(items) or not sys.stderr.isatty():  # a log gets the titles alone
        yield from items
        return
    bar = ProgressBar(len(items), file=sys.stderr)
    for item in items:
        yield item
        bar.update()
    print(file=sys.stderr)


def inspect_data(
    cfg: Config, folder: Path, name: str, every: bool = False, skipped: Sequence[str] = ()
) -> list[Finding]:
    """Checks the data of all splits, and writes ``index.html`` and ``report.json``.

    Args:
        cfg: A config whose files are there.
        folder: Where to write.
        name: Title of the page.
        every: Whether to read every image and label map, and not only some.
        skipped: Kinds of findings to leave out.

    Returns:
        What was found.
    """
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    splits = [name for name in ('train', 'val', 'test') if cfg.get(f'{name}_dataloader')]
    extent = Extent(every, track)
    data = check_datasets(cfg, *splits, extent=extent)
    paths = image_paths(data)
    shared = shared_images(paths, extent)
    samples, findings = _samples(cfg, data)
    findings += report_shared(shared, paths)
    boxes = np.concatenate([sample.boxes for sample in samples] or [np.zeros((0, 2))])
    anchors = anchor_shapes(cfg) if len(boxes) else None
    if anchors is not None:
        settings = find_anchor_generator(cfg.model) or {}
        findings += check_anchors(boxes, anchors, list(settings.get('strides') or [4]))
    found = [f for f in (*data.findings, *findings) if f.kind not in skipped]
    numbers = count_splits(data)
    sizes = draw_sizes(boxes, anchors) if (boxes > 0).all(1).any() else None
    shown = samples[:: max(1, len(samples) // SAMPLES_SHOWN)][:SAMPLES_SHOWN]
    write_text(folder / 'index.html', write_page(name, found, numbers, shown, sizes))
    report: dict[str, Any] = dict(
        config=name,
        every=every,
        errors=sum(finding.level == 'error' for finding in found),
        warnings=sum(finding.level == 'warning' for finding in found),
        findings=[asdict(finding) for finding in found],
        splits=[split._asdict() for split in numbers],
        shared_images={'/'.join(pair): files for pair, files in shared.items()},
        object_sizes=np.sqrt(boxes.prod(1)).round(2),
        anchor_sizes=None if anchors is None else np.sqrt(anchors.prod(1)).round(2),
    )
    write_text(folder / 'report.json', json.dumps(report, indent=2, default=to_plain))
    return found


def _samples(cfg: Config, data: CheckedData) -> tuple[list[Sample], list[Finding]]:
    """Training samples, unless an error that is known already would break them."""
    if not cfg.get('train_dataloader') or any(f.level == 'error' for f in data.findings):
        return [], []
    try:
        return read_samples(cfg, SAMPLES_READ), []
    except Exception as error:  # whatever a transform raises
        finding = Finding(
            'error',
            'pipeline',
            'train_dataloader.dataset.pipeline',
            f'it fails on a training image with {type(error).__name__}: {error}',
            'Correct the transforms, or the data that they get',
        )
        return [], [finding]
