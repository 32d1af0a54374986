"""The stopwatch: whose turn it is, what is timed, and what is made of the times."""

import subprocess
import sys

import pytest

from repnext_mm import timing
from repnext_mm.timing import WARM_UP, Timing, fastest, format_table, take_turns


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when a run, or a pause, says so."""

    class Clock:
        now = 0.0
        pauses = 0

        def perf_counter(self) -> float:
            return self.now

        def sleep(self, seconds: float) -> None:
            self.now += seconds
            self.pauses += 1

    clock = Clock()
    monkeypatch.setattr(timing, 'time', clock)
    return clock


def test_runs_take_turns_and_the_first_rounds_do_not_count(clock):
    turns = []

    def run(name: str, seconds: list[float]):
        def body() -> None:
            clock.now += seconds[turns.count(name)]
            turns.append(name)

        return body

    slow = [100.0] * WARM_UP + [4.0, 5.0, 9.0]
    fast = [100.0] * WARM_UP + [2.0, 2.5, 8.0]
    found = take_turns({'slow': run('slow', slow), 'fast': run('fast', fast)}, rounds=3)
    assert turns == ['slow', 'fast'] * (WARM_UP + 3)
    assert clock.pauses == len(turns)
    assert list(found) == ['slow', 'fast']
    assert found['slow'].median == 5.0 and found['slow'].ratio == 1.0
    assert found['fast'].median == 2.5 and found['fast'].ratio == 2.0
    # Between the outermost of three values and the middle one, a tenth of the way.
    assert found['slow'].fast == pytest.approx(4.1) and found['slow'].slow == pytest.approx(8.6)
    assert found['slow'].per_second(10) == 2.0
    assert found['slow'].spread_per_second(10) == pytest.approx((10 / 8.6, 10 / 4.1))


def test_arguments_are_made_anew_for_each_run_outside_of_its_time(clock):
    def arguments() -> tuple:
        clock.now += 50.0
        return ([],)

    def run(items: list) -> None:
        assert items == []
        items.append(1)
        clock.now += 1.0

    found = take_turns({'only': run}, 1, arguments)
    assert found == {'only': Timing(1.0, 1.0, 1.0, 1.0)}


@pytest.mark.parametrize(('runs', 'rounds'), [({'a': int}, 0), ({'a': int}, -1), ({}, 5)])
def test_nothing_to_time_is_an_error(runs, rounds):
    with pytest.raises(ValueError, match=f'rounds={rounds}.* and {len(runs)} runs'):
        take_turns(runs, rounds)


def test_neither_torch_nor_an_mm_package_is_imported():
    code = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location('timing', sys.argv[1])
module = sys.modules['timing'] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert module.take_turns({'a': lambda: None}, 1)['a'].ratio == 1
print([name for name in ('torch', 'numpy', 'mmengine', 'repnext_mm') if name in sys.modules])
"""
    command = [sys.executable, '-c', code, timing.__file__]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, '[]\n'), result.stderr


def test_cuda_is_waited_for_where_torch_uses_it(monkeypatch):
    import torch

    waits = []
    monkeypatch.setattr(torch.cuda, 'synchronize', lambda: waits.append(1))
    monkeypatch.setattr(torch.cuda, 'is_initialized', lambda: True)
    take_turns({'a': lambda: None}, 1)
    assert len(waits) == 2 * (WARM_UP + 1)
    monkeypatch.setattr(torch.cuda, 'is_initialized', lambda: False)
    take_turns({'a': lambda: None}, 1)
    assert len(waits) == 2 * (WARM_UP + 1)


def test_tables_are_aligned():
    rows = [dict(form='training', AP=0.5, note=7), dict(form='plain', AP=0.12345, note='x')]
    assert format_table(rows).splitlines() == [
        '|     form |    AP | note |',
        '|---------:|------:|-----:|',
        '| training | 0.500 |    7 |',
        '|    plain | 0.123 |    x |',
    ]


@pytest.mark.parametrize(
    ('medians', 'expected'),
    [((2.0, 1.0, 3.0), 'b'), ((1.04, 1.0, 1.02), 'a'), ((1.06, 1.01, 1.0), 'b'), ((5.0,) * 3, 'a')],
)
def test_fastest_is_the_first_that_none_clearly_beats(medians, expected):
    timings = {name: Timing(m, m, m, 1.0) for name, m in zip('abc', medians, strict=True)}
    assert fastest(timings) == expected
