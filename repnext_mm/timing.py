"""The speed of several runs, measured in turn, and tables of results.

A machine that is busy for a while slows whatever runs at that moment. Runs that take turns are
slowed alike, so their medians can be compared, within one measurement and not across two.
"""

import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

WARM_UP = 2
"""Untimed rounds. ``torch.compile`` with CUDA graphs needs two: it compiles in the first call and
records the graph in the second."""

PAUSE = 0.05
"""Seconds before each run, in which the spinning threads of the previous runtime go to sleep."""


TIE = 0.05
"""Two times that differ by less than this part are called a tie."""


@dataclass(frozen=True)
class Timing:
    """The seconds that a run takes, over all timed rounds."""

    median: float
    """Seconds."""

    fast: float
    """5th percentile of the seconds."""

    slow: float
    """95th percentile of the seconds."""

    ratio: float
    """Median of the first run over this median: above 1 is faster than the first run."""

    def per_second(self, count: int) -> float:
        """How many images a second pass in the median round, where one round has ``count``."""
        return count / self.median

    def spread_per_second(self, count: int) -> tuple[float, float]:
        """:meth:`per_second` in slow and in fast rounds: the 5th and 95th percentile of speeds."""
        return count / self.slow, count / self.fast


def take_turns(
    runs: Mapping[str, Callable[..., object]],
    rounds: int,
    arguments: Callable[[], tuple] = tuple,
) -> dict[str, Timing]:
    """Times each run once a round, one after the other, after :data:`WARM_UP` untimed rounds.

    Args:
        runs: By name; the first is the one that the ratios refer to. CUDA's queue is empty when
            the clock starts and when it stops, if this process uses CUDA through torch.
        rounds: Timed rounds.
        arguments: Makes the arguments of a run before its time begins, for inputs that a run
            changes.

    Returns:
        A result for each run, in the same order.

    Raises:
        ValueError: If ``rounds`` is not positive or there is no run.
    """
    *_, timings = rounds_of_turns(runs, rounds, arguments)
    return timings


def rounds_of_turns(
    runs: Mapping[str, Callable[..., object]],
    rounds: int,
    arguments: Callable[[], tuple] = tuple,
    pause: float = PAUSE,
) -> Iterator[dict[str, Timing]]:
    """:func:`take_turns` round by round, for results that an interrupted measurement keeps.

    Args:
        runs: As for :func:`take_turns`.
        rounds: As for :func:`take_turns`.
        arguments: As for :func:`take_turns`.
        pause: Seconds before each run.

    Yields:
        After each timed round, the results of all rounds so far.

    Raises:
        ValueError: As :func:`take_turns`.
    """
    if rounds < 1 or not runs:
        raise ValueError(
            f'timing needs 1 round or more and 1 run or more, got rounds={rounds} and '
            f'{len(runs)} runs'
        )
    for _ in range(WARM_UP):
        for run in runs.values():
            _seconds(run, arguments(), pause)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            seconds[name].append(_seconds(run, arguments(), pause))
        first = statistics.median(next(iter(seconds.values())))
        yield {name: _summary(values, first) for name, values in seconds.items()}


def fastest(timings: Mapping[str, Timing]) -> str:
    """The name of the first run that no other beats by more than :data:`TIE`.

    So of runs that are equally fast it is always the same one.
    """
    least = min(timing.median for timing in timings.values())
    return next(name for name, timing in timings.items() if timing.median <= (1 + TIE) * least)


def _summary(seconds: Sequence[float], first: float) -> Timing:
    median = statistics.median(seconds)
    percentiles = [median, median]
    if len(seconds) > 1:
        percentiles = statistics.quantiles(seconds, n=20, method='inclusive')
    return Timing(median, percentiles[0], percentiles[-1], first / median)


def _seconds(run: Callable[..., object], arguments: tuple, pause: float) -> float:
    time.sleep(pause)
    _synchronize()
    start = time.perf_counter()
    run(*arguments)
    _synchronize()
    return time.perf_counter() - start


def _synchronize() -> None:
    """Waits for CUDA's queue, in processes that imported torch and initialized CUDA."""
    torch = sys.modules.get('torch')
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def processor_name() -> str:
    """The processor's model name and model number, for many models share one name."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    pairs = [line.split(':', 1) for line in lines if ':' in line]
    known = {name.strip(): value.strip() for name, value in pairs}
    name = known.get('model name', platform.machine())
    family = [known[key] for key in ('cpu family', 'model') if key in known]
    return f'{name} (family {", model ".join(family)})' if family else name


def format_table(rows: Sequence[Mapping[str, object]]) -> str:
    """Results as a Markdown table with aligned columns.

    Args:
        rows: One or more, with the same keys: column titles. Floats get three digits; anything
            else stands as it is.
    """
    titles = list(rows[0])
    cells = [titles, *[[_cell(row[title]) for title in titles] for row in rows]]
    widths = [max(len(line[column]) for line in cells) for column in range(len(titles))]
    lines = [
        '| '
        + ' | '.join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        + ' |'
        for line in cells
    ]
    rule = '|' + '|'.join('-' * (width + 1) + ':' for width in widths) + '|'
    return '\n'.join([lines[0], rule, *lines[1:]])


def _cell(value: object) -> str:
    return f'{value:.3f}' if isinstance(value, float) else str(value)
