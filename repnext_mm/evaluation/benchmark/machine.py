"""The machine that measures, and whether it is busy with something else."""

import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from repnext_mm.timing import processor_name

PACKAGES = (
    'torch',
    'torchvision',
    'onnxruntime',
    'openvino',
    'coremltools',
    'ai-edge-litert',
    'executorch',
    'ncnn',
    'mmengine',
    'onedl-mmengine',
    'mmdet',
    'onedl-mmdetection',
    'mmsegmentation',
    'onedl-mmsegmentation',
    'mmpretrain',
    'onedl-mmpretrain',
)

BUSY_LOAD = 0.5
"""Processes that want to run, on average over a minute, before the measurement begins."""

BUSY_SHARE = 0.05
"""Share of the processors that others may take while it runs."""


def describe_machine(device: str = 'cpu') -> dict[str, object]:
    """Processor, threads, memory and versions: the header of a report.

    Args:
        device: Of torch; the name of a GPU is added.
    """
    found: dict[str, object] = dict(
        processor=processor_name(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        system=f'{platform.system()} {platform.machine()}, Python {platform.python_version()}',
        capability=torch.backends.cpu.get_cpu_capability(),
    )
    if device.startswith('cuda'):
        properties = torch.cuda.get_device_properties(device)
        found['gpu'] = f'{properties.name}, {properties.total_memory / 2**30:.0f} GiB'
        found['cuda'] = f'{torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}'
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def matrix_rate(side: int = 2048, rounds: int = 10) -> float:
    """What products of large float32 matrices reach in torch on this CPU, with all threads.

    No network computes its convolutions faster, unless by Winograd's algorithm or the like.

    Args:
        side: Of the square matrices.
        rounds: Products, of which the fastest counts.

    Returns:
        Multiply-adds a second.
    """
    first, second = torch.rand(2, side, side)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        torch.mm(first, second)
        seconds.append(time.perf_counter() - start)
    return side**3 / min(seconds)


@dataclass(frozen=True)
class Ticks:
    """Seconds of all processors together since the machine started, and those of this process."""

    wall: float
    busy: float
    stolen: float
    own: float

    @classmethod
    def now(cls) -> 'Ticks | None':
        """None where the system does not tell."""
        try:
            line = Path('/proc/stat').read_text().splitlines()[0]
        except OSError:
            return None
        user, nice, system, _, _, irq, softirq, stolen = (
            int(value) / os.sysconf('SC_CLK_TCK') for value in line.split()[1:9]
        )
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        return cls(time.monotonic(), user + nice + system + irq + softirq, stolen, own)


class LoadWatch:
    """Watches from its making on whether others use the machine.

    The load average of the minute before tells of the time before the measurement, the
    processors' own counters of the time since.
    """

    def __init__(self) -> None:
        self.load = os.getloadavg()[0] if hasattr(os, 'getloadavg') else None
        self.start = Ticks.now()

    def shares(self) -> dict[str, float]:
        """Shares of all processors: of others, and of the hypervisor; empty where unknown."""
        now = Ticks.now()
        if self.start is None or now is None or now.wall - self.start.wall < 0.1:
            return {}
        available = (now.wall - self.start.wall) * (os.cpu_count() or 1)
        own = now.own - self.start.own
        others = max(now.busy - self.start.busy - own, 0.0)
        stolen = now.stolen - self.start.stolen
        return dict(others=others / available, stolen=stolen / available)

    def warnings(self, before: bool = True) -> list[str]:
        """Sentences that say how busy the machine is; empty if it is idle but for us.

        Args:
            before: Also judge the time before the watch began.
        """
        found = []
        if before and self.load is not None and self.load > BUSY_LOAD:
            found.append(
                f'the load average was {self.load:.1f} before the measurement: other processes ran'
            )
        shares = self.shares()
        if shares.get('others', 0.0) > BUSY_SHARE:
            found.append(f'other processes took {shares["others"]:.0%} of the processors meanwhile')
        if shares.get('stolen', 0.0) > BUSY_SHARE:
            found.append(f'the host took {shares["stolen"]:.0%} of the processors away')
        return found
