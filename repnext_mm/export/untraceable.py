"""Errors of torch's ONNX exporter in words of ours: which operator of which part, and what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.onnx.errors import OnnxExporterError

from repnext_mm.export.options import WHOLE

ERRORS_OF_A_TRACE = (
    AttributeError,
    TypeError,
    LookupError,
    AssertionError,
    NotImplementedError,
    RuntimeError,
)
"""What code raises in a trace that was not made for one."""


@contextmanager
def writing(part: str, dynamic: bool) -> Iterator[None]:
    """Says why a model became no ONNX file.

    Args:
        part: Of the model, as in the options of an export.
        dynamic: Whether images may have any size.

    Raises:
        ValueError: If what is inside raises an error of the exporter, or of the code that is traced.
    """
    try:
        yield
    except OnnxExporterError as error:
        raise ValueError(_message(part, dynamic, obstacle(str(error)))) from error
    except ERRORS_OF_A_TRACE as error:
        text = ' '.join(str(error).split())
        what = f'its code cannot be traced ({type(error).__name__}: {text})'
        raise ValueError(_message(part, dynamic, what)) from error


def check_standard(model: Any, part: str, dynamic: bool) -> None:
    """Makes sure that a graph has no operators of mmcv or of others, which no runtime here has.

    Args:
        model: ``onnx.ModelProto``.
        part: As for :func:`writing`.
        dynamic: Likewise.

    Raises:
        ValueError: The message names one of them.
    """
    for node in model.graph.node:
        if node.domain:
            name = f'{node.domain}::{node.op_type}'
            place = node.name.strip('/').replace('/', '.')
            raise ValueError(
                _message(part, dynamic, f'{name}, in {place}, is no standard operator')
            )


def _message(part: str, dynamic: bool, reason: str) -> str:
    whole = part == WHOLE
    remedies = ['part="backbone-neck" leaves its head out'] if whole else []
    remedies += ['static=True fixes the traced size'] if dynamic else []
    remedies = remedies or ['choose another part, or another network']
    return (
        f'the {"whole " * whole}{part} cannot become an ONNX file: {reason}; {", ".join(remedies)}'
    )


def obstacle(text: str) -> str:
    """The operator and the part of the model in an error of torch's exporter, without its graph.

    Args:
        text: The error's.
    """
    said = ' '.join(text.split()).partition('. Please feel free')[0]
    said = said.partition(' [Caused by')[0].removeprefix('Unsupported: ').rstrip('. ')
    kind = re.search(r"kind '([\w:]+)'|operator '([\w:]+)'", text)
    scope = re.search(r'scope: ([^#\n]*?)\s*(?:#|\n|$)', text)
    operator = next((group for group in kind.groups() if group), '') if kind else ''
    words = said[:200] if operator in said else f'{said[:200]} (operator {operator})'
    return f'{words}, in {_part(scope.group(1))}' if scope else words


def _part(scope: str) -> str:
    """The innermost part of a scope such as ``graph.Graph::/mmdet.necks.fpn.FPN::neck/...``."""
    named = [step.partition('::') for step in scope.strip('/').split('/')]
    path = '.'.join(name for _, _, name in named if name)
    return f'{path or "the model"} ({named[-1][0].rpartition(".")[2]})'
