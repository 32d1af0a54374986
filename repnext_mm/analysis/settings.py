"""What is asked of an analysis."""

from typing import NamedTuple


class AnalysisSettings(NamedTuple):
    """Options of all tasks."""

    pictures: int = 8
    """How many of the worst images are shown, and how many of the best."""

    score_threshold: float | None = None
    """Of detections that count as predicted in confusions and pictures; None for the best of each class."""
