"""Values of label maps against the classes, ``reduce_zero_label`` and what is ignored."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config

from repnext_mm.checks.evaluators import metrics_of
from repnext_mm.checks.findings import Finding
from repnext_mm.checks.label_data import LabelData
from repnext_mm.checks.label_map_file import IGNORED_LABEL
from repnext_mm.checks.wording import examples, of_all
from repnext_mm.config_dicts import type_name


def check_values(cfg: Config, data: LabelData) -> Iterator[Finding]:
    """Values are classes, or ignored, and ``reduce_zero_label`` fits them.

    Args:
        cfg: The config.
        data: Label maps of one channel.
    """
    classes = data.leaf.classes
    values = Counter({v: n for v, n in data.pixels().items() if 0 <= v <= 255})
    if not classes or not values:
        return
    ignored = ignored_label(cfg)
    yield from _beyond(data, values, classes, ignored)
    yield from _two_values(data, values, classes, ignored)
    yield from _zero(data, values, classes)


def ignored_label(cfg: Config) -> int:
    """The label that the first decode head leaves out."""
    return next((value for _, value in _ignored_by_heads(cfg)), IGNORED_LABEL)


def _beyond(
    data: LabelData, values: Counter[int], classes: Sequence[str], ignored: int
) -> Iterator[Finding]:
    count = len(classes)
    beyond = [v for v in sorted(values) if data.label(v) >= count and data.label(v) != ignored]
    if not beyond:
        return
    example = next(found for found in data.maps if beyond[0] in found.values)
    share = sum(values[value] for value in beyond) / sum(values.values())
    if not data.reduces_zero and beyond == [count]:
        remedy = (
            'If labels count from 1, set reduce_zero_label=True in every dataset, and 0 is ignored; '
            f'if {count} means "no class", write 255 in its place'
        )
    else:
        remedy = (
            f'Write {ignored} where there is no class, which losses and metrics ignore, or name all '
            'classes in metainfo and set num_classes of the heads'
        )
    yield Finding(
        'error',
        'label-values',
        data.folder,
        f'the values {examples(beyond, 8)} ({share:.1%} of the pixels) are beyond the {count} '
        f'classes, {_numbering(data, count)}, such as in {example.path!r}',
        remedy,
    )


def _numbering(data: LabelData, count: int) -> str:
    if data.reduces_zero:
        return f'which are 1 to {count} with reduce_zero_label=True'
    return f'which are 0 to {count - 1}'


def _two_values(
    data: LabelData, values: Counter[int], classes: Sequence[str], ignored: int
) -> Iterator[Finding]:
    labels = {data.label(value) for value in values}
    if labels == {ignored}:
        yield Finding(
            'error',
            'reduce-zero-label' if data.reduces_zero else 'label-values',
            data.folder,
            f'all pixels that were looked at are ignored: the only value(s) are {examples(values)}'
            + (', and reduce_zero_label=True ignores 0' if data.reduces_zero else ''),
            'Write the numbers of the classes into the label maps'
            + (', or set reduce_zero_label=False' if data.reduces_zero else ''),
        )
    elif len(classes) > 1 and set(values) == {0, 255} and labels == {0, ignored}:
        yield Finding(
            'error',
            'labels-0-and-255',
            data.folder,
            f'{_looked(data)} hold the values 0 and 255 alone, and 255 is ignored, so '
            f'{examples(classes[1:])} never occurs, and everything will be {classes[0]!r}',
            f'Write 1 in the place of 255, if it means {classes[1]!r}: labels[labels == 255] = 1',
        )


def _zero(data: LabelData, values: Counter[int], classes: Sequence[str]) -> Iterator[Finding]:
    largest = max((value for value in values if value != IGNORED_LABEL), default=0)
    dataset: Any = data.leaf.dataset
    last = len(classes) - 1
    if data.reduces_zero and values[0] and 0 < largest == last and not dataset.label_map:
        share = values[0] / sum(values.values())
        yield Finding(
            'warning',
            'reduce-zero-label',
            f'{data.leaf.key}.reduce_zero_label',
            f'with reduce_zero_label=True 0 is ignored ({share:.1%} of the pixels) and classes are '
            f'1 to {len(classes)}, but {_looked(data)} of {data.folder} go from 0 to {largest}: '
            f'{classes[last]!r} never occurs, and 1 is taken for {classes[0]!r}',
            f'If 0 means {classes[0]!r}, set reduce_zero_label=False in every dataset',
        )


def _looked(data: LabelData) -> str:
    number = len(data.maps)
    return f'all {number} label maps' if data.complete else f'the {number} label maps looked at'


def check_occurrence_of_labels(datas: Sequence[LabelData]) -> Iterator[Finding]:
    """Every class has pixels in the training data, if all of it was read."""
    trained = [data for data in datas if data.leaf.trained and data.leaf.classes]
    if not trained or not all(data.complete for data in trained):
        return
    seen = {label for data in trained for label in data.pixels_of_labels()}
    classes = trained[0].leaf.classes or ()
    absent = [name for number, name in enumerate(classes) if number not in seen]
    if absent:
        yield Finding(
            'warning',
            'absent-classes',
            ', '.join(data.folder for data in trained),
            f'{of_all(len(absent), len(classes), "classes")} never occur in the training data, so the '
            f'network cannot learn them: {examples(absent)} have no pixel',
            'Make sure that the values of the label maps are positions in classes, or leave them '
            'out of the classes',
        )


def check_label_settings(cfg: Config, data: LabelData) -> Iterator[Finding]:
    """Pipeline, dataset, heads and metric agree on what is ignored."""
    for step in data.leaf.steps():
        own = step.get('reduce_zero_label') if type_name(step) == 'LoadAnnotations' else None
        if own is not None and bool(own) != data.reduces_zero:
            yield Finding(
                'error',
                'reduce-zero-label',
                f'{data.leaf.key}.pipeline',
                f'LoadAnnotations has reduce_zero_label={own}, and the dataset '
                f'reduce_zero_label={data.reduces_zero}',
                'Set it in the dataset alone',
            )
    heads = _ignored_by_heads(cfg)
    metrics = [
        (f'{key}.ignore_index', metric.get('ignore_index', IGNORED_LABEL))
        for key, metric in metrics_of(cfg, data.leaf.split)
        if type_name(metric) == 'IoUMetric'
    ]
    for key, value in [*heads, *metrics]:
        if value != heads[0][1]:
            yield Finding(
                'warning' if (key, value) in metrics else 'error',
                'ignored-index',
                key,
                f'it ignores the label {value}, and {heads[0][0]} the label {heads[0][1]}',
                f'Set all of them to the same label; 255 is what mmseg takes by default ({key})',
            )


def _ignored_by_heads(cfg: Config) -> list[tuple[str, int]]:
    found = []
    for name in ('decode_head', 'auxiliary_head'):
        heads = (cfg.get('model') or {}).get(name) or []
        several = isinstance(heads, list | tuple)
        for number, head in enumerate(heads if several else [heads]):
            key = f'model.{name}' + (f'[{number}]' if several else '')
            found.append((f'{key}.ignore_index', head.get('ignore_index', IGNORED_LABEL)))
    return found
