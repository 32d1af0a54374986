"""Threads fit the machine, and no child outlives a tool."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from repnext_mm.launch import processes

CODE = """
import importlib.util, multiprocessing, sys, time
sys.modules['torch'] = sys.modules['mmengine.logging'] = sys  # not needed, and slow
sys.print_log = print
spec = importlib.util.spec_from_file_location('processes', {path!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert module.end_children_with_this()
child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(600,))
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""


def is_running(number: int) -> bool:
    """Whether a process is there and no mere entry that nobody has asked for."""
    try:
        state = Path(f'/proc/{number}/stat').read_text().rsplit(')', 1)[1].split()[0]
    except OSError:
        return False
    return state != 'Z'


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='a call of Linux')
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_ends_with_a_killed_parent(number):
    code = CODE.format(path=processes.__file__)
    with subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, text=True
    ) as parent:
        child = int(parent.stdout.readline())
        try:
            assert is_running(child)
            parent.send_signal(number)
            parent.wait(20)
            end = time.monotonic() + 20
            while is_running(child) and time.monotonic() < end:
                time.sleep(0.05)
            assert not is_running(child)
        finally:
            parent.kill()
            if is_running(child):
                os.kill(child, signal.SIGKILL)


@pytest.fixture
def environment(monkeypatch):
    for name in (*processes.OWN_THREADS, *processes.PROCESSES_HERE):
        monkeypatch.delenv(name, raising=False)
    threads = torch.get_num_threads()
    processes._say_once.cache_clear()
    yield monkeypatch
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ('limit', 'cores'),
    [('150000 100000', 1), ('400000 100000', 4), ('max 100000', 8), ('10 100', 1)],
)
def test_cores_are_those_of_affinity_and_quota(limit, cores, environment, tmp_path):
    environment.setattr(os, 'sched_getaffinity', lambda _: range(8), raising=False)
    environment.setattr(processes, 'QUOTA', tmp_path / 'cpu.max')
    assert processes.available_cores() == 8
    (tmp_path / 'cpu.max').write_text(f'{limit}\n')
    assert processes.available_cores() == cores


def test_threads_are_shared_between_processes_unless_somebody_says_otherwise(environment):
    torch.set_num_threads(4)
    environment.setattr(processes, 'available_cores', lambda: 4)
    assert processes.limit_threads() == 4
    environment.setenv('LOCAL_WORLD_SIZE', '2')
    assert processes.limit_threads() == torch.get_num_threads() == 2
    environment.setenv('LOCAL_WORLD_SIZE', '9')
    assert processes.limit_threads() == 1
    environment.setenv('OMP_NUM_THREADS', '3')
    environment.delenv('LOCAL_WORLD_SIZE')
    torch.set_num_threads(3)
    environment.setattr(processes, 'available_cores', lambda: 1)
    assert processes.limit_threads() == 3


def test_it_is_said_once_with_a_word_about_others(environment):
    said = []
    environment.setattr(processes, 'print_log', lambda text, logger: said.append(text))
    environment.setattr(os, 'getloadavg', lambda: (5.0, 0, 0), raising=False)
    environment.setattr(processes, 'available_cores', lambda: 2)
    processes.limit_threads()
    processes.limit_threads()
    assert len(said) == 1 and 'of 2 available cores' in said[0] and 'load 5.0' in said[0]
