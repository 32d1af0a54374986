"""The metrics of exported files, by a config's evaluators, and what one file loses to another."""

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from repnext_mm.evaluation.exported_model import use_exported
from repnext_mm.export.tasks import Task

Metrics = dict[str, float]
"""The metrics that count, by name, on the scale of 0 to 1."""


class FileEvaluator:
    """The config's evaluators on exported files. Every call goes through all images of a split.

    Args:
        cfg: The config.
        task: Of the exported files.
        build_runner: Makes a Runner of a config.
        metric: Name of the metric that counts; None for those of the task.
    """

    def __init__(
        self,
        cfg: Config,
        task: Task,
        build_runner: Callable[[Config], Runner],
        metric: str | None = None,
    ):
        self.cfg = cfg
        self.names = (metric,) if metric else task.metrics
        self.scale = task.metric_scale
        self.build_runner = build_runner

    def measure(self, path: str | Path, split: str, runtime: str) -> Metrics:
        """The metrics of a file that count.

        Args:
            path: The file.
            split: ``'val'`` or ``'test'``, whose data and evaluator are taken.
            runtime: That runs the file.

        Returns:
            Those that the evaluator gives: none where a detector found nothing.
        """
        return self._chosen(self._all_metrics(path, split, runtime))

    def measure_reference(self, path: str | Path, split: str, runtime: str) -> Metrics:
        """As :meth:`measure`, for the file that others are compared with.

        Raises:
            ValueError: If the evaluator gives metrics, and none of those that count.
        """
        metrics = self._all_metrics(path, split, runtime)
        found = self._chosen(metrics)
        if metrics and not found:
            raise ValueError(
                f'the evaluator of the {split} data gives none of {self.names}: name one of '
                f'{sorted(metrics)} as the metric'
            )
        return found

    def _chosen(self, metrics: Mapping[str, float]) -> Metrics:
        return {name: metrics[name] * self.scale for name in self.names if name in metrics}

    def _all_metrics(self, path: str | Path, split: str, runtime: str) -> Mapping[str, float]:
        return self.build_runner(self._config_for(path, split, runtime)).test()

    def _config_for(self, path: str | Path, split: str, runtime: str) -> Config:
        """A config whose test is that of a file on a split."""
        cfg = self.cfg.copy()
        cfg.test_dataloader = cfg[f'{split}_dataloader']
        cfg.test_evaluator = cfg[f'{split}_evaluator']
        use_exported(cfg, str(path), runtime)
        # Those that persist are only noticed to be useless by the garbage collector, which then
        # waits five seconds for each.
        cfg.test_dataloader.persistent_workers = False
        # mmengine keeps what has a name for as long as the process lives.
        cfg.experiment_name = f'quantize_{uuid.uuid4().hex}'
        if cfg.get('visualizer'):
            cfg.visualizer.name = cfg.experiment_name
        return cfg


def largest_loss(reference: Mapping[str, float], metrics: Mapping[str, float]) -> float:
    """How much the metric loses that loses most; one that is missing is zero, as nothing was found."""
    losses = [value - metrics.get(name, 0.0) for name, value in reference.items()]
    return max(losses, default=0.0)


def anything_to_lose(reference: Mapping[str, float]) -> bool:
    """Whether any metric of a reference is above zero."""
    return any(value > 0 for value in reference.values())


class Candidates:
    """Versions of a file, each measured once, by what they lose to it.

    Args:
        evaluator: For all of them.
        source: The file that they are versions of; it is measured here.
        split: As for :meth:`FileEvaluator.measure`, and so is ``runtime``.
        runtime: The same for all.

    Attributes:
        reference: The metrics of the source.
        measured: The metrics of the versions, in the order of the calls.
    """

    def __init__(self, evaluator: FileEvaluator, source: str | Path, split: str, runtime: str):
        self.evaluator, self.split, self.runtime = evaluator, split, runtime
        self.reference = evaluator.measure_reference(source, split, runtime)
        self.measured: list[Metrics] = []

    def change(self, path: str | Path) -> float:
        """Measures a version: its worst change of a metric, below zero if it lost."""
        self.measured.append(self.evaluator.measure(path, self.split, self.runtime))
        return -largest_loss(self.reference, self.measured[-1])
