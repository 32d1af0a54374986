"""An exported network in the browser: a folder of static files, packed with ONNX Runtime Web."""

from repnext_mm.web.onnxruntime_web import download_package, read_package
from repnext_mm.web.packing import pack

__all__ = ['download_package', 'pack', 'read_package']
