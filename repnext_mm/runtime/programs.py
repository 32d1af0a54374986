"""Looking into a program of ``torch.export`` before torch opens it.

``torch.export.load`` evaluates the sizes in a program as Python, unpickles weights and sample
inputs, looks functions up by name, and runs compiled code. What can be told from the archive is
told here; that nothing else can run code is not promised, so such files must be trusted besides.
"""

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any

import torch

SIZE_FUNCTIONS = {
    'Abs', 'Add', 'And', 'CeilDiv', 'CeilToInt', 'CleanDiv', 'Eq', 'Equality', 'Float',
    'FloatPow', 'FloatTrueDiv', 'FloorDiv', 'FloorToInt', 'Ge', 'GreaterThan', 'Gt', 'Identity',
    'IntTrueDiv', 'Integer', 'IsNonOverlappingAndDenseIndicator', 'LShift', 'Le', 'LessThan',
    'Lt', 'Max', 'Min', 'Mod', 'ModularIndexing', 'Mul', 'Ne', 'Not', 'Or', 'Pow',
    'PowByNatural', 'PythonMod', 'RShift', 'Rational', 'RoundDecimal', 'RoundToInt',
    'StrictGreaterThan', 'StrictLessThan', 'Symbol', 'ToFloat', 'TruncToFloat', 'TruncToInt',
    'Unequality', 'Where',
}  # fmt: skip
"""Functions that torch writes into sizes: those of ``torch.utils._sympy.functions`` and SymPy."""

NAMED = ('Float', 'Symbol')
"""Those of them that take a text, which the others would evaluate."""

SIZE_SYNTAX = (
    ast.Expression, ast.Compare, ast.cmpop, ast.BinOp, ast.operator, ast.UnaryOp, ast.unaryop,
    ast.BoolOp, ast.boolop,
)  # fmt: skip
"""Of Python's syntax: comparisons and arithmetic. Calls, names and constants are looked at closer."""

OPERATORS = re.compile(
    r'torch\.ops\.(aten|prims|torchvision)\.(?!__)\w+(\.(?!__)\w+)?'
    r'|torch\.ops\.aten\.__(and|or|xor|lshift|rshift)__\.\w+'
    r'|torch\.ops\.higher_order\.(cond|wrap_with_set_grad_enabled|wrap_with_autocast)'
    r'|torch\.sym_\w+'
    r'|math\.[a-z]\w*'
    r'|_operator\.(abs|add|and_|eq|floordiv|ge|getitem|gt|inv|le|lshift|lt|mod|mul|ne|neg|not_|or_'
    r'|pos|pow|rshift|sub|truediv|xor)'
)
"""The functions that a program may call."""

REFUSED_OPERATORS = ('from_file', 'save', 'load')
"""Operators of the namespaces above that read or write files."""

FIELD_NAME = re.compile(r'[\w.]*')
TEXT = re.compile(r'[\w.+-]*')
COMPILED_PART = 'data/aotinductor/'
"""Where a program has compiled code in its archive."""


def check_program(path: str | Path | IO[bytes], name: str | None = None) -> None:
    """Makes sure that an archive has no pickled weights, no code, and sizes that are arithmetic.

    Args:
        path: A ``.pt2`` file, or its content.
        name: For the error messages; None for the path.

    Raises:
        ValueError: If it has, or is no archive; the message says what was found.
    """
    name = name or str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            for problem in _problems(archive):
                raise ValueError(
                    f'{name} was not opened, for it could run code: {problem}. tools/export.py '
                    'writes no such file: export the model again'
                )
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f'{name} cannot be opened: {error}') from error


def _problems(archive: zipfile.ZipFile) -> Iterator[str]:
    """What was found in an archive, a phrase for each."""
    for name in archive.namelist():
        if COMPILED_PART in name:
            yield f'it holds compiled code, {name!r}'
        elif name.endswith('.pt') and not _is_data(archive.read(name)):
            yield f'{name!r} is a pickle of more than tensors and numbers'
        elif name.endswith('.json') and '/extra/' not in name:
            try:
                content = json.loads(archive.read(name))
            except ValueError as error:
                yield f'{name!r} is no JSON ({error})'
            else:
                yield from _problems_of(content)


def _is_data(content: bytes) -> bool:
    """Whether torch's safe loader reads it, which the exporter's loader tries first."""
    if not content:
        return True
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError):
        return False
    return True


def _problems_of(part: Any, key: str = '') -> Iterator[str]:
    """What was found in a part of the archive's JSON."""
    if isinstance(part, dict):
        if part.get('use_pickle'):
            yield f'pickled weights, {part.get("path_name")!r}'
        for name, value in part.items():
            yield from _problems_of(value, name)
    elif isinstance(part, list):
        for value in part:
            yield from _problems_of(value, key)
    elif isinstance(part, str):
        if key == 'expr_str' and not is_arithmetic(part):
            yield f'a size that is no arithmetic, {part!r}'
        elif key in ('target', 'as_operator') and not _is_operator(part):
            yield f'a call of {part!r}'
        elif key in ('name', 'path_name') and not FIELD_NAME.fullmatch(part):
            yield f'a name that is none, {part!r}'
        elif key == 'path_name' and part.startswith('custom_obj'):
            yield f'a pickled object, {part!r}'
        elif '"__enum__"' in part:
            yield f'a class that would be imported, {part!r}'


def is_arithmetic(expression: str) -> bool:
    """Whether a size consists of numbers, names, arithmetic and :data:`SIZE_FUNCTIONS`."""
    try:
        tree = ast.parse(expression, mode='eval')
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return _is_harmless(tree)


def _is_harmless(node: ast.AST, named: bool = False) -> bool:
    """Whether a part of a size is; ``named`` allows a text that is a name or a number."""
    if isinstance(node, ast.Call):
        function = node.func.id if isinstance(node.func, ast.Name) else ''
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        plain = all(keyword.arg for keyword in node.keywords) and function in SIZE_FUNCTIONS
        return plain and all(_is_harmless(part, function in NAMED) for part in given)
    if isinstance(node, ast.Constant):
        text = named and isinstance(node.value, str) and TEXT.fullmatch(node.value)
        return bool(text) or isinstance(node.value, int | float)
    if isinstance(node, ast.Name):
        return not node.id.startswith('__')
    return isinstance(node, SIZE_SYNTAX) and all(map(_is_harmless, ast.iter_child_nodes(node)))


def _is_operator(target: str) -> bool:
    known = OPERATORS.fullmatch(target) is not None
    return known and not any(part in REFUSED_OPERATORS for part in target.split('.'))
