"""coremltools, and what it says where there is no Mac."""

import logging
import warnings
from types import ModuleType

from repnext_mm.compat.packages import require_extra


def require_coremltools(purpose: str) -> ModuleType:
    """Imports coremltools without its warnings: of parts that macOS alone has, and of torch's version.

    Only its errors are logged from then on in this process.

    Args:
        purpose: What it is needed for, for the error message.

    Raises:
        ImportError: If it is not installed; the message says how to install it.
    """
    logging.getLogger('coremltools').setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return require_extra('coremltools', 'coreml', purpose)
