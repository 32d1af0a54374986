"""Which analysis is that of a config's task."""

from typing import Any, Protocol

from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from repnext_mm.analysis.classifiers import ClassifierAnalysis
from repnext_mm.analysis.detectors import DetectorAnalysis
from repnext_mm.analysis.report import AnalysisReport
from repnext_mm.analysis.samples import TestedSample
from repnext_mm.analysis.segmentors import SegmentorAnalysis
from repnext_mm.analysis.settings import AnalysisSettings
from repnext_mm.visualization.fonts import use_readable_font


class Analysis(Protocol):
    """Takes predictions one by one, and reports on them at the end."""

    @property
    def classes(self) -> list[str]:
        """Names."""

    def take(self, sample: TestedSample) -> None:
        """Takes the prediction of an image."""

    def report(self) -> AnalysisReport:
        """Analyses what was taken."""


ANALYSES: dict[str, Any] = dict(
    mmdet=DetectorAnalysis, mmseg=SegmentorAnalysis, mmpretrain=ClassifierAnalysis
)
"""By the default scope of a config."""


def build_analysis(cfg: Config, settings: AnalysisSettings) -> Analysis:
    """Makes the analysis of a config's task ready for predictions of its test data.

    Class names that the usual font lacks are written in another that is installed.

    Args:
        cfg: The config.
        settings: What is asked for.

    Raises:
        ImportError: If a package that the analysis takes is not installed.
        ValueError: If the task has no analysis, the config has no test data, or these have no
            ground truth.
    """
    scope = cfg.get('default_scope')
    if scope not in ANALYSES:
        raise ValueError(
            f'configs of {", ".join(ANALYSES)} are analysed, this one has default_scope={scope!r}'
        )
    if not cfg.get('test_dataloader'):
        raise ValueError(
            'the config has no test data to analyse: set test_dataloader, test_cfg and test_evaluator'
        )
    init_default_scope(scope)
    analysis = ANALYSES[scope](DATASETS.build(cfg.test_dataloader.dataset), settings)
    use_readable_font(analysis.classes)
    return analysis
