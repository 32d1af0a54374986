"""Measures the cases of a table in turn, and keeps what an interruption leaves."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log

from repnext_mm.evaluation.benchmark.cases import TORCH, Case, Table
from repnext_mm.evaluation.benchmark.exported import file_run
from repnext_mm.evaluation.benchmark.machine import LoadWatch
from repnext_mm.evaluation.benchmark.networks import Networks, Run, torch_run
from repnext_mm.timing import PAUSE, Timing, rounds_of_turns

OUT_OF_MEMORY = 'out of memory'
OUT_OF_TIME = 'not measured: out of time'


@dataclass(frozen=True)
class Row:
    """What was found for one case."""

    case: Case
    timing: Timing | None = None
    failure: str | None = None
    """Why there is no time: :data:`OUT_OF_MEMORY`, :data:`OUT_OF_TIME`, or an error."""

    images: int = 1
    """Images that pass in the time of :attr:`timing`."""

    memory: float | None = None
    """Peak of the memory in bytes, besides that of the weights."""

    weights: float | None = None
    """Memory of the weights in bytes."""


@dataclass(frozen=True)
class TableResult:
    """A table, complete or up to some round."""

    title: str
    columns: list[str]
    rows: list[Row]
    rounds: int
    warnings: list[str] = field(default_factory=list)
    """Sentences on how busy the machine was."""


@dataclass(frozen=True)
class Limits:
    """How long a table may take.

    Raises:
        ValueError: If there is no round.
    """

    rounds: int = 5
    deadline: float | None = None
    """On the clock of ``time.monotonic``: no round begins after it, and no row is prepared."""

    calls: int = 1
    """Calls in a round that are timed together, for runs of few milliseconds."""

    pause: float = PAUSE
    """Seconds before each run."""

    def __post_init__(self) -> None:
        if min(self.rounds, self.calls) < 1:
            raise ValueError(
                f'rounds and calls must be positive, got {self.rounds} and {self.calls}'
            )

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.deadline is not None and time.monotonic() > self.deadline


class Guard:
    """A run that may fail without ending the others.

    Args:
        prepare: Makes the run, in the first call, and may fail itself.
        limits: Of the time.
    """

    def __init__(self, prepare: Callable[[], Run], limits: Limits):
        self.prepare = prepare
        self.limits = limits
        self.run: Run | None = None
        self.failure: str | None = None
        self.skipped = False

    def __call__(self, *arguments: Any) -> None:
        """Runs, unless it has failed before or the time is up.

        A failure is kept and frees the run's memory.
        """
        self.skipped = self.skipped or self.limits.over
        if self.failure is not None or self.skipped:
            return
        try:
            if self.run is None:
                self.run = self.prepare()
            for _ in range(self.limits.calls):
                self.run(*arguments)
        except Exception as error:  # whatever a runtime raises: the other rows go on
            self.failure = failure_of(error)
        if self.failure is not None:
            print_log(f'row without a time: {self.failure}', 'current', logging.WARNING)
            self.run = None
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()


def failure_of(error: Exception) -> str:
    """An error as a row says it, in one line."""
    text = str(error)
    # The CPU's allocator raises a RuntimeError, ONNX Runtime its own class.
    allocation = 'allocate memory' in text or 'Failed to allocate' in text
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or allocation:
        return OUT_OF_MEMORY
    return f'{type(error).__name__}: {text.strip().splitlines()[0] if text.strip() else ""}'[:200]


def preparation(networks: Networks, case: Case, folder: Path) -> Callable[[], Run]:
    """What makes the run of a case.

    Args:
        networks: Where the models come from.
        case: The case.
        folder: For exported files.
    """
    if case.runtime == TORCH:
        return lambda: torch_run(networks, case)
    return lambda: file_run(networks, case, folder)


def measure(
    table: Table,
    runs: Mapping[Case, Callable[[], Run]],
    limits: Limits,
    arguments: Callable[[], tuple] = tuple,
    images: int | None = None,
) -> Iterator[TableResult]:
    """Times the cases of a table in turn.

    Args:
        table: The cases; the first one is that to which the others are compared.
        runs: What makes the run of each case.
        limits: Rounds and time.
        arguments: Makes the arguments of a run, before its time begins.
        images: Images that pass in one call; None for the batch of the case.

    Yields:
        The result so far, after each round; the last one is complete.
    """
    watch = LoadWatch()
    guards = {case: Guard(runs[case], limits) for case in table.cases}
    named = {table.label(case): guard for case, guard in guards.items()}
    turns = rounds_of_turns(named, limits.rounds, arguments, limits.pause)
    for number, timings in enumerate(turns, 1):
        if number > 1 and any(guard.skipped for guard in guards.values()):
            return  # in the round before, all had their turn
        rows = [
            _row(case, guard, timings[table.label(case)], images or case.batch, limits.calls)
            for case, guard in guards.items()
        ]
        yield TableResult(table.title, table.columns(), rows, number, watch.warnings(before=False))
        if limits.over or all(guard.failure for guard in guards.values()):
            return


def _row(case: Case, guard: Guard, timing: Timing, images: int, calls: int) -> Row:
    failure = guard.failure or (OUT_OF_TIME if guard.skipped else None)
    if failure:
        return Row(case, failure=failure, images=images)
    per_call = (timing.median / calls, timing.fast / calls, timing.slow / calls)
    return Row(case, Timing(*per_call, timing.ratio), images=images)
