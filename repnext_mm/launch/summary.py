"""The end of a training or a test on the screen: metrics as a table, and where the files lie."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from repnext_mm.visualization.curves import ABSENT, main_metrics

MOST_METRICS = 20
"""Of a table; metrics of single classes come last and may be many."""

LoggedMetrics = Mapping[str, object]


class SummaryHook(Hook):
    """Logs a summary when a training or a test ends.

    The best validation is the one whose checkpoint ``CheckpointHook`` keeps with ``save_best``. If
    that was before a resume, its metrics are not known, and its checkpoint is named all the same.
    """

    priority = 'LOWEST'
    """After ``CheckpointHook``, which knows the best checkpoint."""

    def __init__(self) -> None:
        self._columns: dict[str, tuple[int, LoggedMetrics]] = {}
        self._best: dict[str, str] = {}
        self._tested: LoggedMetrics = {}

    def before_train(self, runner: Runner) -> None:
        """Forgets an earlier training; notes the best checkpoint of a resumed one."""
        self._columns, self._best = {}, best_checkpoints(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Notes the metrics, as those of the best checkpoint too if that is new."""
        found = (runner.iter, dict(metrics or {}))
        self._columns['last'] = found
        best = best_checkpoints(runner)
        if best != self._best:
            self._best = best
            self._columns['best'] = found

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Notes the metrics."""
        self._tested = dict(metrics or {})

    def after_train(self, runner: Runner) -> None:
        """Logs the summary of the training."""
        columns = {
            f'{name} (iteration {iteration:,})': metrics
            for name, (iteration, metrics) in self._columns.items()
        }
        places = dict(self._best)
        if last := runner.message_hub.get_info('last_ckpt'):
            places['last checkpoint'] = str(last)
        places['curves'] = str(Path(runner.work_dir, 'curves.png'))
        self._log(runner, f'Training ended after {runner.iter:,} iterations', columns, places)

    def after_test(self, runner: Runner) -> None:
        """Logs the summary of the test."""
        images = len(runner.test_dataloader.dataset)
        self._log(runner, f'Tested on {images:,} images', {'': self._tested}, {})

    def _log(
        self,
        runner: Runner,
        title: str,
        columns: Mapping[str, LoggedMetrics],
        places: dict[str, str],
    ) -> None:
        if not is_main_process():
            return
        places = {name: place for name, place in places.items() if Path(place).exists()}
        places['log'] = str(runner.logger.log_file)
        width = max(map(len, places))
        files = [f'{name:<{width}}  {place}' for name, place in places.items()]
        runner.logger.info('\n'.join([title, *metric_table(columns), *files]))


def best_checkpoints(runner: Runner) -> dict[str, str]:
    """The checkpoints that ``save_best`` keeps, by the name of a line in the summary."""
    start = 'best_ckpt'
    return {
        f'best checkpoint{name.removeprefix(start).replace("_", " ", 1)}': str(path)
        for name, path in runner.message_hub.runtime_info.items()
        if name.startswith(start) and path
    }


def metric_table(columns: Mapping[str, LoggedMetrics]) -> list[str]:
    """Lines of a table with a row for each metric, those that the task is judged by first.

    Args:
        columns: Metrics by the title of their column; what is no number is left out.
    """
    names = dict.fromkeys(
        name
        for metrics in columns.values()
        for name, value in metrics.items()
        if isinstance(value, Real) and not isinstance(value, bool)
    )
    main = main_metrics(names)
    ordered = [*main, *(name for name in names if name not in main)]
    rows = [
        [name, *(_number(metrics.get(name)) for metrics in columns.values())] for name in ordered
    ]
    more = len(rows) - MOST_METRICS
    if not rows:
        return []
    titles = ['metric', *columns] if any(columns) else []
    lines = _aligned([*([titles] if titles else []), *rows[:MOST_METRICS]])
    return [*lines, f'... and {more} more in the log'] if more > 0 else lines


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        '  '.join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    ]


def _number(value: object) -> str:
    """A metric as text; a dash for what there is not, such as COCO's AP of sizes without objects."""
    if not isinstance(value, Real) or not math.isfinite(value) or value == ABSENT:
        return '-'
    return f'{float(value):.4g}'
