"""Numbers of classes in the model and the metrics, against the data."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from repnext_mm.checks.evaluators import metrics_of
from repnext_mm.checks.findings import Finding
from repnext_mm.checks.wording import examples
from repnext_mm.config_dicts import TEACHERS, type_name

OTHER_CLASSES = ('rpn_head', 'semantic_head', *TEACHERS)
"""Parts of a model that tell other things apart than the classes of the data."""


def class_counts(part: Any, key: str) -> Iterator[tuple[str, int]]:
    """The numbers of classes that heads have, with their keys in the config.

    Args:
        part: The config of a model, or a part of it.
        key: Of that part; ``'model'`` for all of it. Outside of heads only the model itself
            has classes: timm's classifiers have no head of their own.
    """
    for name, value in _heads(part, key):
        count = value.get('num_classes')
        if isinstance(count, int) and ('head' in name or name == 'model'):
            yield f'{name}.num_classes', count


def _heads(part: Any, key: str) -> Iterator[tuple[str, Mapping]]:
    """All dicts of a model but the parts that have other classes, from the outside."""
    if isinstance(part, Mapping):
        yield key, part
        for name, value in part.items():
            if name not in OTHER_CLASSES:
                yield from _heads(value, f'{key}.{name}')
    elif isinstance(part, list | tuple):
        for number, value in enumerate(part):
            yield from _heads(value, f'{key}[{number}]')


def check_heads_of(cfg: Config, classes: tuple[str, ...], where: str) -> Iterator[Finding]:
    """Every head has the classes of the data.

    Args:
        cfg: The config.
        classes: Of the data.
        where: Key of the dataset that has them, or the folder.
    """
    data = f'{where} has {len(classes)} classes ({examples(classes)})'
    model = cfg.get('model') or {}
    wrong = [(key, count) for key, count in class_counts(model, 'model') if count != len(classes)]
    for key, count in wrong:
        yield Finding(
            'error',
            'num-classes',
            key,
            f'num_classes is {count}, but {data}',
            f'Set {key}={len(classes)}',
        )
    for key, settings in (
        ('data_preprocessor', cfg.get('data_preprocessor')),
        ('model.data_preprocessor', model.get('data_preprocessor')),
    ):
        settings = settings or {}
        length = settings.get('num_classes')
        if isinstance(length, int) and length != len(classes):
            mixes = (model.get('train_cfg') or {}).get('augments') or settings.get('batch_augments')
            used = bool(mixes or settings.get('to_onehot'))
            yield Finding(
                'error' if used else 'warning',
                'num-classes',
                f'{key}.num_classes',
                f'num_classes is {length}, but {data}',
                f'Set {key}=dict(num_classes={len(classes)}): labels of mixed images have that length',
            )
    yield from _class_weights(model, len(classes), data)


def _class_weights(model: Any, count: int, data: str) -> Iterator[Finding]:
    for key, head in _heads(model, 'model'):
        if 'num_classes' not in head or 'head' not in key:
            continue
        for name in ('loss_decode', 'loss'):
            losses = head.get(name)
            for loss in losses if isinstance(losses, list | tuple) else [losses or {}]:
                weights = loss.get('class_weight') if isinstance(loss, Mapping) else None
                if isinstance(weights, list | tuple) and len(weights) != count:
                    yield Finding(
                        'error',
                        'class-weight',
                        f'{key}.{name}.class_weight',
                        f'it has {len(weights)} weights, but {data}',
                        f'Give it {count} numbers, one for each class in their order',
                    )


def check_topk(cfg: Config, splits: tuple[str, ...], count: int, where: str) -> Iterator[Finding]:
    """Accuracies among the best k classes, of which there must be as many.

    Args:
        cfg: The config.
        splits: Whose metrics to look at.
        count: Number of classes of the data; what the model predicts goes before it.
        where: Key or folder of the data.
    """
    predicted = list(class_counts(cfg.get('model') or {}, 'model'))
    if predicted:
        where, count = min(predicted, key=lambda item: item[1])
    head = (cfg.get('model') or {}).get('head') or {}
    asked = [('model.head.topk', head.get('topk'))] if head.get('cal_acc') else []
    for split in splits:
        asked += [
            (f'{key}.topk', metric.get('topk'))
            for key, metric in metrics_of(cfg, split)
            if type_name(metric) == 'Accuracy'
        ]
    for key, topk in asked:
        values = topk if isinstance(topk, list | tuple) else [topk or 1]
        if max(values, default=1) > count:
            fitting = tuple(k for k in values if k <= count) or (1,)
            yield Finding(
                'error',
                'topk',
                key,
                f'topk asks for the best {max(values)} classes, but {where} has {count}',
                f'Set {key}={fitting}',
            )
