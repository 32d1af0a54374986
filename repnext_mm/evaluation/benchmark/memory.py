"""The peak memory of a case, each in a process of its own.

``python -m repnext_mm.evaluation.benchmark.memory`` is that process: it reads a pickled
:class:`Order` from its input and writes a JSON object to its output.
"""

import ctypes
import gc
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from repnext_mm.evaluation.benchmark.cases import TORCH, Case, Table
from repnext_mm.evaluation.benchmark.measure import OUT_OF_MEMORY, Row, TableResult, failure_of
from repnext_mm.evaluation.benchmark.networks import Networks, Run, Source, torch_run

ALLOCATOR = {'MALLOC_MMAP_THRESHOLD_': '65536'}
"""Makes glibc return every large tensor when it is freed, so that what it keeps for later is not
counted: without it the peak of a network varies from run to run by several features."""

STATUS = Path('/proc/self/status')
RESET_PEAK = Path('/proc/self/clear_refs')


@dataclass(frozen=True)
class Order:
    """What a process is to measure."""

    source: Source
    case: Case
    threads: int


def measure_memory(table: Table, sources: Mapping[str, Source]) -> Iterator[TableResult]:
    """Measures the peak memory of the cases of a table.

    Of a run in torch that is the memory besides weights, gradients and states of the optimizer:
    features, images and what operators work with. On a CPU it is the resident set of the
    process, on a GPU what torch has allocated.

    Args:
        table: Cases in torch.
        sources: The networks by name.

    Yields:
        The result so far, after each case.

    Raises:
        ValueError: If a case is not in torch.
        OSError: If the system does not tell a process its memory.
    """
    foreign = {case.runtime for case in table.cases} - {TORCH}
    if foreign:
        raise ValueError(f'memory is measured in torch, not in {", ".join(sorted(foreign))}')
    if not STATUS.exists() and any(case.device == 'cpu' for case in table.cases):
        raise OSError(f'the memory of the CPU is read from {STATUS}, which only Linux has')
    rows: list[Row] = []
    for case in table.cases:
        found = _ask(Order(sources[case.network], case, torch.get_num_threads()))
        rows.append(Row(case, images=case.batch, **found))
        yield TableResult(table.title, table.columns(), list(rows), 1)


def _ask(order: Order) -> dict[str, Any]:
    command = [sys.executable, '-W', 'ignore', '-m', __name__]
    environment = os.environ | ALLOCATOR
    environment['PYTHONPATH'] = os.pathsep.join(path for path in sys.path if path)
    result = subprocess.run(
        command, input=pickle.dumps(order), capture_output=True, env=environment, check=False
    )
    if result.returncode == -signal.SIGKILL:  # as the kernel does where memory is short
        return dict(failure=OUT_OF_MEMORY)
    if result.returncode < 0:
        return dict(failure=f'ended by signal {-result.returncode}')
    if result.returncode:
        lines = result.stderr.decode(errors='replace').strip().splitlines() or ['no message']
        return dict(failure=lines[-1][:200])
    return json.loads(result.stdout.decode().splitlines()[-1])


def peak_memory(order: Order) -> dict[str, Any]:
    """Measures a case in this process, which should have done nothing else before."""
    torch.set_num_threads(order.threads)
    networks = Networks({order.case.network: order.source})
    model = networks.model(order.case.network, order.case.form)
    network = model if order.case.part == 'model' else model.backbone
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    try:
        run = torch_run(networks, order.case)
        networks.forget()
        run()  # oneDNN packs weights, optimizers make their states
        measured = _on_gpu(run) if order.case.device.startswith('cuda') else _on_cpu(run)
    except (RuntimeError, MemoryError) as error:
        return dict(failure=failure_of(error))
    return dict(memory=float(measured), weights=float(weights))


def _on_gpu(run: Run) -> int:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def _on_cpu(run: Run) -> int:
    gc.collect()
    _return_free_memory()
    before = _kibibytes('VmRSS')
    # The peak so far becomes the memory of now. Where that is forbidden, the peak of the warm-up
    # counts, which is alike.
    with suppress(OSError):
        RESET_PEAK.write_text('5')
    run()
    return 1024 * (_kibibytes('VmHWM') - before)


def _return_free_memory() -> None:
    """glibc gives back what is freed; other C libraries lack the function."""
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)


def _kibibytes(name: str) -> int:
    lines = dict(line.split(':', 1) for line in STATUS.read_text().splitlines() if ':' in line)
    return int(lines[name].split()[0])


def answer_order() -> None:
    """Answers the order on the standard input."""
    order = pickle.loads(sys.stdin.buffer.read())
    sys.stdout.write('\n' + json.dumps(peak_memory(order)) + '\n')


if __name__ == '__main__':
    answer_order()
