"""Numbers and sections that describe an evaluated detector, for boxes or masks."""

from collections.abc import Sequence
from typing import Any

from repnext_mm.analysis.coco_truth import Truth
from repnext_mm.analysis.detection import (
    IOUS,
    SIZES,
    TIDE_NAMES,
    EvaluatedDetector,
    average_precision,
    object_sizes,
    precision_curve,
)
from repnext_mm.analysis.figures import draw_bars, draw_precision_recall
from repnext_mm.analysis.report import Picture, ReportTable, Section, count, percent
from repnext_mm.html_page import Cell, Number


def headline(detector: EvaluatedDetector, label: int | None = None) -> dict[str, float | None]:
    """AP, AP50, AP75 and AP by size, of a class or the mean over all."""
    values = dict(
        AP=average_precision(detector, label),
        AP50=average_precision(detector, label, 0.5),
        AP75=average_precision(detector, label, 0.75),
    )
    sizes = {f'AP_{size}': average_precision(detector, label, size=size) for size in SIZES[1:]}
    return values | sizes


def class_numbers(detector: EvaluatedDetector, truth: Truth, label: int) -> dict[str, Any]:
    """All numbers of a class."""
    best = detector.thresholds[label]
    return dict(
        name=truth.classes[label],
        objects=int(detector.matches.totals[label]),
        objects_by_size={size: int(n[label]) for size, n in object_sizes(truth).items()},
        **headline(detector, label),
        best_threshold=best._asdict() if best else None,
    )


def curve_numbers(detector: EvaluatedDetector, classes: list[str]) -> dict[str, Any]:
    """Precision over recall, of the mean at some IoUs and of each class at 0.5."""
    return dict(
        recall=detector.recalls,
        mean={f'IoU {iou}': precision_curve(detector, iou) for iou in IOUS},
        classes={name: precision_curve(detector, 0.5, i) for i, name in enumerate(classes)},
    )


def curves_section(detector: EvaluatedDetector, classes: list[str], prefix: str) -> Section:
    """Precision over recall."""
    numbers = curve_numbers(detector, classes)
    curves = {name: curve for name, curve in numbers['classes'].items() if curve is not None}
    plot = draw_precision_recall(detector.recalls, curves, numbers['mean'])
    caption = 'Precision, the largest at each recall or above, over recall'
    return Section(
        'Precision and recall', [Picture(f'{prefix}precision_recall.png', plot, caption)], 3
    )


def tide_numbers(detector: EvaluatedDetector) -> dict[str, Any]:
    """What AP50 would gain without each kind of error, and how many of each there are."""
    gains, counts = detector.tide['delta_ap'], detector.tide['counts']
    kinds = {
        name: dict(delta_AP50=gains[key], count=counts[key]) for key, name in TIDE_NAMES.items()
    }
    special = dict(false_positives=gains['FP'], false_negatives=gains['FN'])
    return dict(AP50=detector.tide['ap_base'], kinds=kinds, delta_AP50=special)


def tide_section(detector: EvaluatedDetector, prefix: str) -> Section:
    """The kinds of errors."""
    numbers = tide_numbers(detector)
    gains = {name: 100 * kind['delta_AP50'] for name, kind in numbers['kinds'].items()}
    plot = draw_bars(gains, 'AP50 that would be won without these errors, in points')
    meanings = dict(
        classification='on an object, with the wrong class',
        localisation='the right class, and an IoU of 0.1 to 0.5',
        both='the wrong class, and an IoU of 0.1 to 0.5',
        duplicate='on an object that a more certain prediction has found',
        background='on no object',
        missed='an object that no prediction is near to',
    )
    rows: list[Sequence[Cell]] = [
        (name, meanings[name], count(kind['count']), percent(kind['delta_AP50']))
        for name, kind in numbers['kinds'].items()
    ]
    total, caption = numbers['delta_AP50'], 'Gains of AP50 by kinds of errors'
    rows += [
        (
            'all wrong predictions',
            '',
            Number(None, ''),
            percent(total['false_positives']),
        ),
        (
            'all missed objects',
            '',
            Number(None, ''),
            percent(total['false_negatives']),
        ),
    ]
    table = ReportTable(['error', 'meaning', 'count', 'AP50 to win'], rows)
    text = (
        "TIDE's kinds of errors, of all predictions whatever their score. Each gain is that of mending "
        'this kind alone, so they do not add up.'
    )
    return Section('Errors', [text, Picture(f'{prefix}errors.png', plot, caption), table], 3)
