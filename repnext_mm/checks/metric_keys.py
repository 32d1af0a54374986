"""Keys of the metrics that a config asks for, against those that its evaluator will give."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from mmengine.config import Config

from repnext_mm.checks.findings import Finding
from repnext_mm.config_dicts import type_name

FIRST_KEY = 'auto'
COCO_AP = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
COCO_AR = ('AR@100', 'AR@300', 'AR@1000', 'AR_s@1000', 'AR_m@1000', 'AR_l@1000')
IOU = {
    'mIoU': ('aAcc', 'mIoU', 'mAcc'),
    'mDice': ('aAcc', 'mDice', 'mAcc'),
    'mFscore': ('aAcc', 'mFscore', 'mPrecision', 'mRecall'),
}
"""What mmseg's ``IoUMetric`` gives for each of its ``iou_metrics``."""


def check_metric_keys(cfg: Config) -> Iterator[Finding]:
    """Finds keys of ``save_best`` and ``EarlyStoppingHook.monitor`` that validation will not give.

    Metrics that are not of mmdet, mmseg or mmpretrain may give anything, and nothing is said of
    a config with one.

    Args:
        cfg: A config.
    """
    wanted = list(_wanted(cfg))
    given = expected_keys(cfg.get('val_evaluator'))
    if given is None:
        return
    for place, key in wanted:
        if not cfg.get('val_evaluator'):
            yield Finding(
                'warning',
                'metric-key',
                place,
                f'{key!r} is waited for, and there is no validation that gives it',
                'Set val_dataloader, val_cfg and val_evaluator, or leave it out',
            )
        elif key != FIRST_KEY and key not in given and not _is_of_a_class(key, cfg):
            yield Finding(
                'error',
                'metric-key',
                place,
                f'validation gives no {key!r}, but {", ".join(map(repr, given))}',
                f'Set {_nearest(key, given)} or {FIRST_KEY!r}, which is the first of them',
            )


def expected_keys(evaluator: Any) -> list[str] | None:
    """The keys of the metrics that an evaluator gives, in order.

    Args:
        evaluator: ``val_evaluator`` or ``test_evaluator`` of a config.

    Returns:
        None if a metric is unknown, so that there may be others.
    """
    several = isinstance(evaluator, Mapping) and type_name(dict(evaluator))
    if several == 'MultiDatasetsEvaluator':
        metrics = _as_list(evaluator.get('metrics'))
        prefixes = _as_list(evaluator.get('dataset_prefixes'))
        groups = [_metric_keys(metric) for metric in metrics]
        pairs = list(zip(prefixes, groups, strict=False))
        if any(group is None for group in groups):
            return None
        return [f'{prefix}/{key}' for prefix, group in pairs for key in group or ()]
    if several == 'Evaluator':
        evaluator = evaluator.get('metrics')
    groups = [_metric_keys(metric) for metric in _as_list(evaluator)]
    if any(group is None for group in groups):
        return None
    return [key for group in groups for key in group or ()]


def _metric_keys(metric: Any) -> list[str] | None:
    """Keys of one metric, with its prefix; None if it is unknown."""
    kind = type_name(dict(metric)) if isinstance(metric, Mapping) else ''
    if kind not in METRIC_NAMES:
        return None
    default_prefix, names = METRIC_NAMES[kind]
    prefix = metric.get('prefix') or default_prefix
    found = [] if metric.get('format_only') else names(metric)
    return [f'{prefix}/{name}' if prefix else name for name in found]


def _coco_names(metric: Mapping) -> list[str]:
    names: list[str] = []
    items = metric.get('metric_items')
    for kind in _as_list(metric.get('metric', 'bbox')):
        if kind == 'proposal_fast':
            names += [f'AR@{count}' for count in metric.get('proposal_nums') or (100, 300, 1000)]
        elif kind == 'proposal':
            names += items or COCO_AR
        else:
            names += [f'{kind}_{item}' for item in items or COCO_AP]
    return names


def _iou_names(metric: Mapping) -> list[str]:
    kinds = _as_list(metric.get('iou_metrics', ['mIoU']))
    return list(dict.fromkeys(name for kind in kinds for name in IOU.get(kind, ())))


def _accuracy_names(metric: Mapping) -> list[str]:
    thresholds = _as_list(metric.get('thrs', 0.0))
    ends = [''] if len(thresholds) < 2 else [_threshold(value) for value in thresholds]
    return [f'top{k}{end}' for k in _as_list(metric.get('topk', 1)) for end in ends]


def _threshold(value: float | None) -> str:
    return '_no-thr' if value is None else f'_thr-{value:.2f}'


METRIC_NAMES: dict[str, tuple[str, Any]] = {
    'CocoMetric': ('coco', _coco_names),
    'ManyObjectsCocoMetric': ('coco', _coco_names),
    'FasterCocoMetric': ('coco', _coco_names),
    'IoUMetric': ('', _iou_names),
    'Accuracy': ('accuracy', _accuracy_names),
}
"""Default prefix and names of each metric that is known."""


def _wanted(cfg: Config) -> Iterator[tuple[str, str]]:
    """The keys that hooks wait for, with the settings that name them."""
    hooks = dict(cfg.get('default_hooks') or {})
    places = [(f'default_hooks.{name}', hook) for name, hook in hooks.items()]
    custom = enumerate(cfg.get('custom_hooks') or ())
    places += [(f'custom_hooks[{number}]', hook) for number, hook in custom]
    for place, hook in places:
        if not isinstance(hook, dict):
            continue
        if hook.get('save_best'):
            yield from ((f'{place}.save_best', key) for key in _as_list(hook['save_best']))
        if type_name(hook) == 'EarlyStoppingHook' and hook.get('monitor'):
            yield f'{place}.monitor', hook['monitor']


def _is_of_a_class(key: str, cfg: Config) -> bool:
    """Whether a key is that of one class, which ``classwise=True`` of ``CocoMetric`` adds."""
    return key.endswith('_precision') and 'classwise' in str(cfg.get('val_evaluator'))


def _nearest(key: str, given: list[str]) -> str:
    """The key that was meant, as far as spelling tells."""
    ends = [name for name in given if name.split('/')[-1] == key.split('/')[-1]]
    close = [*ends, *get_close_matches(key, given, n=1)]
    return repr(close[0]) if close else 'one of these'


def _as_list(value: Any) -> list:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
