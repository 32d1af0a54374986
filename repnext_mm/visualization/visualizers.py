"""Where mmengine finds our visualizers: those of the packages that are installed."""

from importlib.util import find_spec

if find_spec('mmdet'):
    from repnext_mm.visualization.detection import DetLegendVisualizer  # noqa: F401
if find_spec('mmseg'):
    from repnext_mm.visualization.segmentation import SegLegendVisualizer  # noqa: F401
