"""From what a user asks for to tables, and from tables to a report."""

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.runner import Runner

from repnext_mm.evaluation.benchmark.cases import (
    FILE,
    GRAPH,
    INT8,
    OFFICIAL,
    RUNTIMES,
    TORCH,
    Case,
    Table,
    product_tables,
)
from repnext_mm.evaluation.benchmark.measure import Limits, TableResult, measure, preparation
from repnext_mm.evaluation.benchmark.memory import measure_memory
from repnext_mm.evaluation.benchmark.networks import Networks, Run
from repnext_mm.evaluation.benchmark.scaling import scaling_tables
from repnext_mm.evaluation.complexity import Complexity, complexity_of
from repnext_mm.evaluation.exported_model import ExportedModel
from repnext_mm.reparam.forms import AUTO, TRAINING
from repnext_mm.runtime import open_reader

QUESTIONS = ('backbone', 'model', 'runtimes', 'train-step', 'memory', 'scaling')
DEFAULT_SHAPES = ((224, 224), (800, 1216))


@dataclass(frozen=True)
class Question:
    """What is asked of some networks.

    Raises:
        ValueError: If a value is not among the allowed ones, or a list is empty.
    """

    what: str = 'backbone'
    """One of :data:`QUESTIONS`."""

    part: str = 'backbone'
    """Of a model, for all but ``what='backbone'`` and ``'model'``, which name their own."""

    step: str = 'inference'
    """For ``what='memory'``: ``'inference'`` or ``'training'``."""

    forms: Sequence[str] | None = None
    """None for all that a network has, without ``'auto'`` and ``'official'``; a network is left out
    where it lacks one."""

    shapes: Sequence[tuple[int, int]] | None = None
    """Heights and widths in pixels. None for :data:`DEFAULT_SHAPES`; of ``what='model'`` for
    the config's test images; of ``what='scaling'`` for its own list, else the sides of squares."""

    batches: Sequence[int] | None = None
    """Images at a time. None for 1, and for the list of ``what='scaling'``."""

    devices: Sequence[str] = ('cpu',)
    dtypes: Sequence[str] = ('float32',)
    layouts: Sequence[str] = ('as-is',)
    compilers: Sequence[str | None] = (None,)
    primitives: Sequence[bool] = (True,)
    runtimes: Sequence[str] = tuple(name + kind for kind in ('', INT8) for name in RUNTIMES)
    """For ``what='runtimes'``, beside torch."""

    images: int = 32
    """Test images at least, where there are no shapes; a batch is never cut."""

    files: Sequence[str] = ()
    """Exported files to measure on the test images."""

    trust_files: bool = False
    """Whether these may run code; see :func:`repnext_mm.runtime.open_session`."""

    def __post_init__(self) -> None:
        if self.what not in QUESTIONS:
            raise ValueError(f'unknown what {self.what!r}: choose from {", ".join(QUESTIONS)}')
        if self.images < 1:
            raise ValueError(f'images must be positive, got {self.images}')
        if self.files and not self.on_test_data:
            raise ValueError(
                "exported files are measured on test images: what='model' without shapes, got "
                f'what={self.what!r} and shapes={self.shapes}'
            )

    @property
    def on_test_data(self) -> bool:
        """Whether the images are those of the config's test data."""
        return self.what == 'model' and self.shapes is None

    @property
    def template(self) -> dict[str, Any]:
        """The fields that all cases share."""
        part = self.what if self.what in ('backbone', 'model') else self.part
        step = 'training' if self.what == 'train-step' else 'inference'
        step = self.step if self.what == 'memory' else step
        from_images = self.what == 'runtimes' and part == 'backbone'
        return dict(part=part, step=step, from_images=from_images)


def torch_rows(question: Question, networks: Networks, names: Sequence[str]) -> list[Case]:
    """The cases in torch, at no size yet, network by network.

    Raises:
        ValueError: If no network has any of the forms.
    """
    rows = []
    for name in names:
        forms = networks.forms(name)
        if question.forms is not None:
            known = networks.selectable_forms(name)
            forms = tuple(form for form in question.forms if form in known)
        lists = dict(
            form=forms,
            device=question.devices,
            dtype=question.dtypes,
            layout=question.layouts,
            compiler=question.compilers,
            primitives=question.primitives,
        )
        for values in product(*lists.values()):
            settings: dict[str, Any] = dict(zip(lists, values, strict=True))
            if settings['form'] == OFFICIAL and settings['compiler'] in (None, GRAPH):
                settings['primitives'] = False  # its authors' code has none
            rows.append(Case(network=name, **settings, **question.template))
    if not rows:
        raise ValueError(f'none of {", ".join(names)} has one of the forms {question.forms}')
    return list(dict.fromkeys(rows))


def tables_of(question: Question, networks: Networks) -> list[Table]:
    """The tables that answer a question.

    Raises:
        ValueError: If a value is not among the allowed ones.
    """
    names = list(networks.sources)
    if question.on_test_data:
        return [_test_table(question, networks, name) for name in names]
    rows = torch_rows(question, networks, names)
    if question.what == 'scaling':
        options: dict[str, Any] = {}
        if question.shapes:
            options['sides'] = [height for height, _ in question.shapes]
        if question.batches:
            options['batches'] = question.batches
        return scaling_tables(rows, **options)
    if question.what == 'runtimes':
        rows += _file_rows(question, rows)
    return product_tables(rows, question.shapes or DEFAULT_SHAPES, question.batches or (1,))


def _file_rows(question: Question, rows: Sequence[Case]) -> list[Case]:
    """The merged forms in other runtimes, which exist on the CPU alone."""
    merged = dict.fromkeys(
        (row.network, row.form) for row in rows if row.form not in (TRAINING, AUTO, OFFICIAL)
    )
    if 'cpu' not in question.devices:
        return []
    return [
        Case(network=name, form=form, runtime=runtime, part=question.part)
        for name, form in merged
        for runtime in question.runtimes
    ]


def _test_table(question: Question, networks: Networks, name: str) -> Table:
    rows = [replace(row, shape=None) for row in torch_rows(question, networks, [name])]
    rows += [
        Case(network=path, form=open_reader(path, trust=question.trust_files).spec.form,
             runtime=FILE, part='model', shape=None)
        for path in question.files
    ]  # fmt: skip
    return Table(f'{name}, test images', tuple(rows))


def answer(
    question: Question, networks: Networks, limits: Limits, say: Callable[[str], None]
) -> Iterator[TableResult]:
    """Measures, table by table.

    Args:
        question: What to measure.
        networks: Of what.
        limits: Rounds and time.
        say: Called with a line of progress, now and then.

    Yields:
        The result of a table, as often as there is more of it.

    Raises:
        ValueError: As :func:`tables_of`.
    """
    tables = tables_of(question, networks)
    for number, table in enumerate(tables, 1):
        place = f'table {number}/{len(tables)}, {table.title}'
        say(f'{place}: preparing {len(table.cases)} rows')
        if question.what == 'memory':
            for result in measure_memory(table, networks.sources):
                say(f'{place}: row {len(result.rows)}/{len(table.cases)}')
                yield result
            continue
        with tempfile.TemporaryDirectory() as folder:
            for result in _timed(question, networks, table, limits, Path(folder)):
                say(f'{place}: round {result.rounds}/{limits.rounds}')
                yield result


def _timed(
    question: Question, networks: Networks, table: Table, limits: Limits, folder: Path
) -> Iterator[TableResult]:
    runs = {
        case: file_test(case.network, question.trust_files) if case.runtime == FILE
        else preparation(networks, case, folder)
        for case in table.cases
    }  # fmt: skip
    if not question.on_test_data:
        yield from measure(table, runs, limits)
        return
    cfg = networks.sources[table.cases[0].network].cfg
    batches, count = first_batches(cfg, question.images)
    yield from measure(table, runs, limits, lambda: (deepcopy(batches),), count)


def file_test(path: str, trust: bool = False) -> Callable[[], Run]:
    """What makes the run of an exported file, which is trusted or not, on batches of test data."""

    def prepare() -> Run:
        model = ExportedModel(path, trust=trust).eval()

        @torch.inference_mode()
        def run(batches: list[dict]) -> None:
            for batch in batches:
                model.test_step(batch)

        return run

    return prepare


def first_batches(cfg: Any, images: int) -> tuple[list[dict], int]:
    """Batches of the test data with at least so many images if there are, and their number."""
    batches, count = [], 0
    for batch in Runner.build_dataloader(cfg.test_dataloader, seed=0):
        batches.append(batch)
        count += len(batch['inputs'])
        if count >= images:
            break
    return batches, count


def sizes_of(
    networks: Networks, tables: Sequence[Table], test_shape: tuple[int, int] = (800, 1216)
) -> dict[tuple[str, str, str, tuple[int, int]], Complexity]:
    """Parameters and arithmetic by network, form, part and shape; what cannot be counted lacks.

    Args:
        networks: The models.
        tables: Whose cases count; exported files do not.
        test_shape: Height and width that count where a case gets test images.
    """
    found: dict[tuple[str, str, str, tuple[int, int]], Complexity] = {}
    for case in dict.fromkeys(case for table in tables for case in table.cases):
        key = (case.network, case.form, case.part, case.shape or test_shape)
        if case.runtime != TORCH or case.form == AUTO or key in found:
            continue
        try:
            found[key] = complexity_of(networks.model(*key[:2]), key[3], case.part)
        except Exception as error:  # of networks that mmdet cannot run without a loss or a prompt
            text = f'{case.network}: its arithmetic is not counted ({error})'
            print_log(text, 'current', logging.WARNING)
    return found
