"""What the doctor finds, and what findings share."""

import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from repnext_mm.doctor.facts import Facts

Severity = Literal['error', 'warning', 'note']


class Diagnosis(NamedTuple):
    """One thing that is wrong, or worth knowing."""

    level: Severity
    """``'error'``: something of ours does not work. ``'warning'``: it may fail. ``'note'``: it
    works, and there is something better."""

    kind: str
    """Short name, such as ``'torchvision-of-another-torch'``."""

    packages: tuple[str, ...]
    """Import names of the packages that it explains the trouble of."""

    message: str
    """What is there and what follows from it, in a sentence."""

    mend: str
    """The line that mends it, to be typed as it is."""


Examiner = Callable[[Facts], Iterator[Diagnosis]]

FLOORS = {
    'torch': '2.4',
    'torchvision': '0.19',
    'onnx': '1.16',
    'onnxruntime': '1.20',
    'openvino': '2026.1',
    'timm': '1.0',
}
"""The oldest versions of distributions that work, as setup.py requires them."""


def release(version: str) -> tuple[int, ...]:
    """The numbers at the beginning of a version: ``(2, 11, 0)`` for ``'2.11.0+cu130'``."""
    match = re.match(r'\d+(\.\d+)*', version)
    return tuple(map(int, match.group().split('.'))) if match else ()


def is_older(version: str, floor: str) -> bool:
    """Whether a version is before another one."""
    return release(version) < release(floor)
