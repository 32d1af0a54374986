"""Everything that only a GPU can tell, in one call that ends in time.

The most telling tables come first. Each has a share of the time that is left; rows that do not
get their turn say so.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from mmengine.config import Config

from repnext_mm.evaluation.benchmark.cases import Case, Table, sized_table
from repnext_mm.evaluation.benchmark.gpu_checks import run_checks
from repnext_mm.evaluation.benchmark.machine import LoadWatch, describe_machine
from repnext_mm.evaluation.benchmark.measure import Limits, measure, preparation
from repnext_mm.evaluation.benchmark.networks import Networks, Source
from repnext_mm.evaluation.benchmark.report import BenchmarkReport
from repnext_mm.reparam.forms import AUTO, TRAINING

CONFIGS = (
    'mask_rcnn_repnext_tiny_coco.py',
    'mask_rcnn_repnext_m3_coco.py',
    'baselines/mask_rcnn_convnext_tiny_coco.py',
    'baselines/mask_rcnn_swin_tiny_coco.py',
    'baselines/mask_rcnn_resnet50_coco.py',
    'baselines/mask_rcnn_repvgg_a2_coco.py',
)
"""Whose backbones are measured, the first one in all forms; paths in the folder of configs."""

CHECKED = 'demo/mask_rcnn_repnext_slim_shapes.py'
"""The detector of the checks."""

COMPILED = ('default', 'reduce-overhead')
LARGEST_SHARE = 0.2
"""Of the time that is left a table takes at most this part, so that others get their turn."""

SHORT_PIXELS = 16 * 224 * 224
"""Up to so many pixels in a batch, ten calls are timed together: one takes few milliseconds."""


@dataclass(frozen=True)
class Plan:
    """Sizes, batches and precisions, the most telling first.

    Raises:
        ValueError: If a list is empty, or the budget is not positive.
    """

    device: str = 'cuda'
    budget: float = 480.0
    """Seconds for the whole call."""

    shapes: Sequence[tuple[int, int]] = ((224, 224), (800, 1216), (96, 96))
    batches: Sequence[int] = (1, 16, 128)
    dtypes: Sequence[str] = ('float16', 'float32', 'bfloat16')
    compilers: Sequence[str] = COMPILED
    rounds: int = 20

    def __post_init__(self) -> None:
        if self.budget <= 0 or not (self.shapes and self.batches and self.dtypes):
            raise ValueError(f'a plan needs time, shapes, batches and dtypes, got {self}')


def run_on_gpu(
    plan: Plan, folder: Path, path: Path, say: Callable[[str], None], networks: int | None = None
) -> BenchmarkReport:
    """Checks, then measures, and writes a report after each round.

    Args:
        plan: What to measure, and how long.
        folder: With our configs.
        path: Of the report, without an ending.
        say: Called with a line of progress.
        networks: How many of :data:`CONFIGS`; None for all.

    Returns:
        The report, which is written.

    Raises:
        ValueError: If torch sees no such device.
    """
    if plan.device.startswith('cuda') and not torch.cuda.is_available():
        raise ValueError(
            f"torch sees no GPU, so nothing can run on {plan.device!r}: device='cpu' rehearses"
        )
    end = time.monotonic() + plan.budget
    header = describe_machine(plan.device)
    header['TF32'] = 'in convolutions' if torch.backends.cudnn.allow_tf32 else 'off'
    report = BenchmarkReport(path, header, LoadWatch().warnings())
    say('checking')
    report.checks = run_checks(plan.device, Config.fromfile(folder / CHECKED))
    report.write()
    sources = {Path(name).stem: Source(Config.fromfile(folder / name)) for name in CONFIGS}
    zoo = Networks(dict(list(sources.items())[:networks]))
    tables = gpu_tables(plan, zoo)
    for number, table in enumerate(tables, 1):
        left = end - time.monotonic()
        say(f'table {number}/{len(tables)}, {table.title}: {left:.0f} seconds left')
        _measure_in_time(table, zoo, plan, time.monotonic() + LARGEST_SHARE * left, report)
    report.draw()
    return report


def _measure_in_time(
    table: Table, zoo: Networks, plan: Plan, deadline: float, report: BenchmarkReport
) -> None:
    """One table, until the deadline at the latest, and its memory freed at the end."""
    first = table.cases[0]
    assert first.shape is not None
    short = first.batch * first.shape[0] * first.shape[1] <= SHORT_PIXELS
    calls = 10 if short and plan.device.startswith('cuda') else 1
    limits = Limits(plan.rounds, deadline, calls, pause=0.0)
    runs = {case: preparation(zoo, case, report.path.parent) for case in table.cases}
    for result in measure(table, runs, limits):
        report.add(result)
    if plan.device.startswith('cuda'):
        torch.cuda.empty_cache()


def gpu_tables(plan: Plan, networks: Networks) -> list[Table]:
    """The tables in the order in which they are measured."""
    rows = _rows(plan, networks)
    keys = [(s, d, b) for s in plan.shapes for d in plan.dtypes for b in plan.batches]
    # First what the published ratios of 'plain' are about; images of detectors; the compiler.
    first = [key for key in keys if key[0] == plan.shapes[0] and key[1] != 'bfloat16']
    second = [key for key in keys if key[0] != plan.shapes[0] and key[2] == plan.batches[0]]
    rest = [key for key in keys if key not in first and key not in second]
    tables = [_table(rows, *key) for key in first]
    tables += _compiled(plan, networks)
    return tables + [_table(rows, *key) for key in (*second, *rest)]


def _table(rows: Sequence[Case], shape: tuple[int, int], dtype: str, batch: int) -> Table:
    typed = [Case(**{**vars(row), 'dtype': dtype}) for row in rows]
    table = sized_table(typed, shape, batch)
    return Table(f'{table.title}, {dtype}', table.cases)


def _rows(plan: Plan, networks: Networks) -> list[Case]:
    """Each network in its forms, in both layouts and as a CUDA graph; ours also as ``'auto'``.

    The merged forms of the first one run in channels-last without primitives, too.
    """
    modes: list[tuple[str, str | None]] = [('contiguous', None), ('channels-last', None)]
    if plan.device.startswith('cuda'):
        modes.append(('channels-last', 'graph'))
    rows = []
    for name, forms in _forms(networks).items():
        rows += [
            Case(name, form, device=plan.device, layout=layout, compiler=compiler)
            for form in forms
            for layout, compiler in modes
        ]
        if len(forms) > 1:
            rows.append(Case(name, AUTO, device=plan.device))
    first = next(iter(networks.sources))
    rows += [
        replace(row, primitives=False)
        for row in rows
        if row.network == first
        and row.form not in (TRAINING, AUTO)
        and row.layout == 'channels-last'
    ]
    return rows


def _forms(networks: Networks) -> dict[str, tuple[str, ...]]:
    """All forms of ours; of the others the last, which is the merged one where there is one."""
    forms = {name: networks.forms(name) for name in networks.sources}
    return {
        name: found if 'repnext' in name else found[-1:] for name, found in forms.items()
    }  # fmt: skip


def _compiled(plan: Plan, networks: Networks) -> list[Table]:
    """torch.compile for a few rows, for it takes up to a minute for each."""
    forms = _forms(networks)
    names = list(forms)
    chosen = [(names[0], form) for form in forms[names[0]][::-1]]
    chosen += [(name, forms[name][-1]) for name in names[1:] if 'convnext' in name]
    tables = []
    for compiler in plan.compilers:
        rows = [
            Case(name, form, device=plan.device, layout='channels-last', compiler=compiler)
            for name, form in chosen
        ]
        table = _table(rows, plan.shapes[0], plan.dtypes[0], plan.batches[0])
        tables.append(Table(f'{table.title}, torch.compile {compiler}', table.cases))
    return tables
