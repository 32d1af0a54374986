"""From a trained model to a file that another runtime reads, and such files in use.

The readers are those of :mod:`repnext_mm.runtime`, and need what that needs, Pillow for pictures, and
matplotlib for letters that Pillow's own font lacks; the exporter needs the mm packages, and is
imported when it is asked for.
"""

from typing import Any

from repnext_mm.compat import require
from repnext_mm.runtime import Classifier, Detector, Segmentor, open_reader, open_session

__all__ = [
    'Classifier',
    'Detector',
    'ExportOptions',
    'Segmentor',
    'export_model',
    'merged_copy',
    'open_reader',
    'open_session',
]


def __getattr__(name: str) -> Any:
    """Imports the names that need mmengine when they are asked for."""
    if name in ('ExportOptions', 'export_model', 'merged_copy'):
        require('mmengine', 'exporting')
    if name in ('ExportOptions', 'export_model'):
        from repnext_mm.export import exporter, options

        return getattr(exporter if name == 'export_model' else options, name)
    if name == 'merged_copy':
        from repnext_mm.trained import merged_copy

        return merged_copy
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
