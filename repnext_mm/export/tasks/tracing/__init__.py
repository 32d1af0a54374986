"""The mm packages' own prediction code, made traceable: decisions in Python become tensor operations.

A trace keeps what Python decided for the traced image: how many candidates there were, whether
any was left, which loop ran how often. Inside :func:`without_decisions` such decisions are taken
out, by a few rules for torch's functions (:mod:`~repnext_mm.export.tasks.tracing.rules`) and by other
bodies for a few functions of mmdet (:mod:`~repnext_mm.export.tasks.tracing.functions`). So each head
runs its own code, and a family of heads needs no graph of its own.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from repnext_mm.export.tasks.tracing.functions import replaced_functions
from repnext_mm.export.tasks.tracing.rules import TensorRules

__all__ = ['without_decisions']


@contextmanager
def without_decisions() -> Iterator[None]:
    """Lets code of the mm packages be traced for one image of any size.

    Raises:
        ValueError: By the code inside, if it asks for what no graph can do, such as another NMS.
    """
    with ExitStack() as stack:
        # mmdet's branches for ONNX import a package that no longer exists.
        stack.enter_context(patch('torch.onnx.is_in_onnx_export', return_value=False))
        stack.enter_context(replaced_functions())
        stack.enter_context(TensorRules())
        yield
