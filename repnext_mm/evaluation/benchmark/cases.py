"""The rows of a benchmark: which network, how it runs, and what it gets."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields

from repnext_mm.reparam.fastest import AS_IS, CHANNELS_LAST
from repnext_mm.reparam.forms import AUTO, TRAINING, check_form

MEASURED_PARTS = ('backbone', 'model')
MEASURED_STEPS = ('inference', 'training')
DTYPES = ('float32', 'float16', 'bfloat16')
BENCHMARK_LAYOUTS = (AS_IS, 'contiguous', CHANNELS_LAST)
"""``'as-is'`` leaves the weights as the network has them and feeds contiguous images."""

GRAPH = 'graph'
COMPILERS = ('default', 'reduce-overhead', 'max-autotune', GRAPH)
"""Modes of ``torch.compile``, of which ``'reduce-overhead'`` uses CUDA graphs; and ``'graph'``,
one CUDA graph of the network as it is, without a compiler."""

RUNTIMES = {'onnxruntime': 'ONNX Runtime', 'openvino': 'OpenVINO'}
"""Runtimes for exported files, and their titles."""

INT8 = ' INT8'
"""What the runtime of a quantized file ends with."""

OFFICIAL = 'official'
"""The form of RepNeXt-M that its authors' code merges to; see :mod:`~.official`."""

TORCH = 'torch'

FILE = 'file'
"""The runtime of an exported file that is given, in whatever its ending stands for."""


@dataclass(frozen=True)
class Case:
    """One row.

    Raises:
        ValueError: If a value is not among the allowed ones, or two do not go together.
    """

    network: str
    """Name of the config, under which :class:`~.networks.Networks` knows it."""

    form: str = TRAINING
    """``'auto'`` for the fastest inference form and layout, which are measured first;
    :data:`OFFICIAL` for another way to merge."""

    runtime: str = TORCH
    """``'torch'``, a key of :data:`RUNTIMES`, which may end with :data:`INT8`, or ``'file'``."""

    part: str = 'backbone'
    step: str = 'inference'
    shape: tuple[int, int] | None = (224, 224)
    """Height and width in pixels; None for images of the config's test data."""

    batch: int = 1
    """Images at a time."""

    device: str = 'cpu'
    dtype: str = 'float32'
    layout: str = 'as-is'
    compiler: str | None = None
    primitives: bool = True
    """Whether merged blocks may run oneDNN's or cuDNN's; see :mod:`repnext_mm.reparam.primitives`."""

    from_images: bool = False
    """Whether a backbone in torch gets uint8 images and normalizes them, as exported files do."""

    def __post_init__(self) -> None:
        if self.form not in (AUTO, OFFICIAL):
            check_form(self.form)
        elif self.runtime != TORCH or self.step != 'inference':
            raise ValueError(
                f'form={self.form!r} is for inference in torch, got {self.runtime}, {self.step}'
            )
        runtimes = (TORCH, FILE, *RUNTIMES, *(name + INT8 for name in RUNTIMES))
        allowed = dict(
            part=MEASURED_PARTS,
            step=MEASURED_STEPS,
            dtype=DTYPES,
            layout=BENCHMARK_LAYOUTS,
            compiler=(None, *COMPILERS),
            runtime=runtimes,
        )
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(
                    f'unknown {name} {getattr(self, name)!r}: choose from {", ".join(map(str, values))}'
                )
        if min(*(self.shape or (1, 1)), self.batch) < 1:
            raise ValueError(f'shape and batch must be positive, got {self.shape} and {self.batch}')
        if self.part == 'model' and self.compiler:
            raise ValueError(
                f"compiler={self.compiler!r} is for part='backbone': of a whole model much is "
                'Python, which no compiler takes'
            )
        if self.runtime != TORCH and (self.device, self.dtype, self.layout) != (
            'cpu',
            'float32',
            'as-is',
        ):
            raise ValueError(f'device, dtype and layout are for torch, not for {self.runtime}')
        if not self.primitives and self.compiler not in (None, GRAPH):
            raise ValueError(f'compiler={self.compiler!r} uses no primitives: leave them on')


@dataclass(frozen=True)
class Table:
    """Cases that take turns, so that they can be compared.

    Raises:
        ValueError: If there is no case, or one stands there twice.
    """

    title: str
    cases: tuple[Case, ...]

    def __post_init__(self) -> None:
        if not self.cases or len(set(self.cases)) < len(self.cases):
            raise ValueError(f'{self.title}: a table needs cases, each of them once: {self.cases}')

    def columns(self) -> list[str]:
        """The fields in which the cases differ, the network and the form always among them."""
        names = [field.name for field in fields(Case)]
        differs = {name: len({getattr(case, name) for case in self.cases}) > 1 for name in names}
        return [name for name in names if differs[name] or name in ('network', 'form')]

    def label(self, case: Case) -> str:
        """A name for a case that no other of this table has."""
        return ', '.join(shown(getattr(case, name)) for name in self.columns())


def as_record(case: Case) -> dict[str, object]:
    """A case as JSON holds it."""
    return asdict(case)


def shown(value: object) -> str:
    """A value of a field as a table shows it."""
    if isinstance(value, tuple):
        return 'x'.join(map(str, value))
    return 'eager' if value is None else str(value)


def parse_shape(text: str) -> tuple[int, int]:
    """Reads ``'800x1216'``.

    Returns:
        Height and width in pixels.

    Raises:
        ValueError: If the text is no such pair.
    """
    height, width = text.split('x')
    return int(height), int(width)


def product_tables(
    rows: Sequence[Case],
    shapes: Iterable[tuple[int, int]],
    batches: Iterable[int],
) -> list[Table]:
    """A table for each size and batch, with the same rows.

    Args:
        rows: Cases, whose shape and batch do not count.
        shapes: Heights and widths in pixels.
        batches: Numbers of images at a time.

    Raises:
        ValueError: As :class:`Case` and :class:`Table`.
    """
    batches = tuple(batches)
    return [sized_table(rows, shape, batch) for shape in shapes for batch in batches]


def sized_table(rows: Sequence[Case], shape: tuple[int, int], batch: int) -> Table:
    """The rows at one size and batch.

    Raises:
        ValueError: As :class:`Case` and :class:`Table`.
    """
    cases = tuple(Case(**{**asdict(row), 'shape': shape, 'batch': batch}) for row in rows)
    kinds = {(row.part, row.step) for row in rows}
    kind = ' and '.join(sorted(f'{part}, {step}' for part, step in kinds))
    return Table(f'{kind}, {shown(shape)}, batch {batch}', cases)
