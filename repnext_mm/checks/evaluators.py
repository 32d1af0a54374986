"""Evaluators with annotation files of their own, against the datasets that are evaluated."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from repnext_mm.checks.dataset import LeafDataset
from repnext_mm.checks.findings import Finding
from repnext_mm.checks.wording import examples
from repnext_mm.config_dicts import type_name
from repnext_mm.datasets.annotation_file import AnnotationFile, AnnotationFiles

Pair = tuple[LeafDataset, AnnotationFile]


def metrics_of(cfg: Config, split: str) -> list[tuple[str, dict]]:
    """The metrics of a split's evaluator with their keys in the config."""
    return list(_metrics(cfg.get(f'{split}_evaluator') or [], f'{split}_evaluator'))


def _metrics(part: Any, key: str) -> Iterator[tuple[str, dict]]:
    if isinstance(part, list | tuple):
        for number, inner in enumerate(part):
            yield from _metrics(inner, f'{key}[{number}]')
    elif isinstance(part, dict):
        if part.get('metrics') and type_name(part).endswith('Evaluator'):
            yield from _metrics(part['metrics'], f'{key}.metrics')
        else:
            yield key, part


def coco_metrics(cfg: Config, split: str) -> list[tuple[str, dict]]:
    """Those that evaluate with pycocotools."""
    return [(key, metric) for key, metric in metrics_of(cfg, split) if _is_coco(metric)]


def evaluates_masks(cfg: Config, split: str) -> bool:
    """Whether masks are evaluated in a split."""
    return any('segm' in _as_list(m.get('metric', 'bbox')) for _, m in coco_metrics(cfg, split))


def check_evaluators(
    cfg: Config, split: str, pairs: Sequence[Pair], files: AnnotationFiles
) -> Iterator[Finding]:
    """The files of a split's evaluators have the images, names and order of its datasets.

    Args:
        cfg: The config.
        split: ``'val'`` or ``'test'``.
        pairs: The datasets of this split with their files.
        files: Reads the evaluator's.
    """
    if not pairs:
        return
    for number, (key, metric) in enumerate(metrics_of(cfg, split)):
        path = metric.get('ann_file') if _is_coco(metric) else None
        truth = files.find(path) if isinstance(path, str) and Path(path).is_file() else None
        evaluated = _evaluated_by(number, cfg.get(f'{split}_evaluator'), pairs)
        own = {id(file) for _, file in evaluated}
        if truth is None or own == {id(truth)}:
            continue
        yield from _images(f'{key}.ann_file', truth, evaluated)
        if id(truth) not in own:
            yield from _categories(f'{key}.ann_file', truth, evaluated)


def _evaluated_by(number: int, evaluator: Any, pairs: Sequence[Pair]) -> Sequence[Pair]:
    """The datasets that a metric sees: with mmdet's ``MultiDatasetsEvaluator`` the one of its number."""
    if isinstance(evaluator, dict) and type_name(evaluator) == 'MultiDatasetsEvaluator':
        return pairs[number : number + 1] or pairs
    return pairs


def _is_coco(metric: dict) -> bool:
    return type_name(metric).endswith('CocoMetric')


def _images(key: str, truth: AnnotationFile, pairs: Sequence[Pair]) -> Iterator[Finding]:
    own: dict[object, str] = {}
    for _, file in pairs:
        own |= {image.get('id'): str(image.get('file_name')) for image in file.images}
    theirs = {image.get('id'): str(image.get('file_name')) for image in truth.images}
    read = ', '.join(dict.fromkeys(file.path for _, file in pairs))
    intro = f'the evaluator compares with {truth.path}, and {pairs[0][0].key} reads {read}'
    remedy = f'Set {key} to {read}' if len(pairs) == 1 else f'Set {key} to a file with all of them'
    lacking = [name for number, name in own.items() if number not in theirs]
    other = [name for number, name in own.items() if theirs.get(number, name) != name]
    extra = [name for number, name in theirs.items() if number not in own]
    if lacking:
        problem = f'{len(lacking)} of {len(own)} images are not in it by their ids: '
        problem += examples(lacking)
    elif other:
        problem = f'{len(other)} of {len(own)} images have ids of other images in it: '
        problem += examples(other)
    elif extra:
        problem = f'{len(extra)} images are in it alone, whose objects count as missed: '
        problem += examples(extra)
    else:
        return
    yield Finding('error', 'evaluator-file', key, f'{intro}; {problem}', remedy)


def _categories(key: str, truth: AnnotationFile, pairs: Sequence[Pair]) -> Iterator[Finding]:
    leaf, file = pairs[0]
    classes = leaf.classes or ()
    own, theirs = ([name for name in f.names if name in classes] for f in (file, truth))
    counts = sum(len(f.annotations) for _, f in pairs), len(truth.annotations)
    if own != theirs:
        yield Finding(
            'error',
            'evaluator-file',
            key,
            f'the evaluator compares with {truth.path}, which has the categories '
            f'{examples(theirs, 8)}, and {leaf.key} reads {file.path} with {examples(own, 8)}',
            f'Set {key} to {file.path}',
        )
    elif counts[0] != counts[1]:
        yield Finding(
            'warning',
            'evaluator-file',
            key,
            f'the evaluator compares with {truth.path}, which has {counts[1]} annotations, and '
            f'{leaf.key} reads {file.path} with {counts[0]}',
            f'If this is no intention, set {key} to {file.path}',
        )


def _as_list(value: Any) -> list:
    return list(value) if isinstance(value, list | tuple) else [value]
