"""What there is: Python, packages, what they say when they are imported, GPUs."""

import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROBE = Path(__file__).with_name('probe.py')
PATIENCE = 600
"""Seconds that all imports may take."""

WATCHED = re.compile(
    r'(onedl-)?mm(engine|cv|cv-lite|det|detection|segmentation|pretrain)|opencv-.*'
)
"""Distributions that overwrite each other's files."""


@dataclass(frozen=True)
class Imported:
    """How the import of a package ended."""

    version: str | None = None
    """The package's own word; None if it has none, or could not be imported."""

    error: str | None = None
    """Class and first line of what was raised; None if nothing was."""

    absent: bool = False
    """Whether the error is that there is no such package."""

    @property
    def works(self) -> bool:
        """Whether it can be imported."""
        return self.error is None

    @property
    def broken(self) -> bool:
        """Whether it is there and cannot be imported."""
        return self.error is not None and not self.absent


@dataclass(frozen=True)
class Facts:
    """Everything that findings are made of."""

    python: str
    """Version, such as ``'3.11.7'``."""

    system: str
    """Such as ``'Linux x86_64'``."""

    distributions: Mapping[str, str]
    """Versions of all that pip has installed, by normalized name, such as ``'mmcv-lite'``."""

    imports: Mapping[str, Imported]
    """By import name; see :data:`repnext_mm.doctor.probe.PROBED`, with ``'mmcv._ext'`` for the
    compiled operators, and ``'torchvision.ops'`` for a call of one of torchvision's."""

    lost_files: Mapping[str, int] = field(default_factory=dict)
    """Modules that a distribution of :data:`WATCHED` has installed and that are not there."""

    cuda: str | None = None
    """The CUDA that torch was built for; None for a build without."""

    gpus: tuple[str, ...] = ()
    """Names of the GPUs that torch can use."""

    driver_cuda: str | None = None
    """The newest CUDA that the NVIDIA driver runs; None where there is none."""

    def imported(self, name: str) -> Imported:
        """How an import ended; one that was not tried counts as absent."""
        return self.imports.get(name, Imported(error='not tried', absent=True))


def gather_facts(python: str = sys.executable) -> Facts:
    """Looks at this environment. Takes some seconds: packages are imported, in another process.

    Args:
        python: Interpreter that imports them.
    """
    distributions, lost_files = read_distributions()
    entries = run_probe(python)
    imports = {
        entry['name']: Imported(
            entry.get('version'), entry.get('error'), entry.get('absent', False)
        )
        for entry in entries
        if 'name' in entry
    }
    cuda: dict[str, Any] = next((entry for entry in entries if 'cuda' in entry), {})
    return Facts(
        python=platform.python_version(),
        system=f'{platform.system()} {platform.machine()}',
        distributions=distributions,
        imports=imports,
        lost_files=lost_files,
        cuda=cuda.get('cuda'),
        gpus=tuple(cuda.get('gpus', ())),
        driver_cuda=read_driver(),
    )


def read_distributions() -> tuple[dict[str, str], dict[str, int]]:
    """Versions of the installed distributions, and how many modules some of them have lost."""
    versions: dict[str, str] = {}
    lost_files: dict[str, int] = {}
    for distribution in importlib.metadata.distributions():
        name = re.sub(r'[-_.]+', '-', distribution.metadata['Name'] or '').lower()
        if not name or name in versions:  # what comes later on the path is hidden
            continue
        versions[name] = distribution.version
        if WATCHED.fullmatch(name):
            modules = [f for f in distribution.files or () if f.suffix in ('.py', '.so', '.pyd')]
            lost = sum(not Path(str(file.locate())).exists() for file in modules)
            lost_files |= {name: lost} if lost else {}
    return versions, lost_files


def run_probe(python: str) -> list[dict[str, Any]]:
    """The lines of the probe; where it dies, another goes on with what comes then."""
    entries: list[dict[str, Any]] = []
    while True:
        done = [entry['begin'] for entry in entries if 'begin' in entry]
        command = [python, '-c', PROBE.read_text(encoding='utf-8'), *done]
        found, ending = lines_of(command)
        entries += found
        if ending is None:
            return entries
        begun = [entry['begin'] for entry in found if 'begin' in entry]
        if not begun:
            return [*entries, dict(name='python', error=f'importing ended with {ending}')]
        entries.append(dict(name=begun[-1], error=f'importing it ended Python with {ending}'))


def lines_of(command: list[str]) -> tuple[list[dict[str, Any]], str | None]:
    """What a process printed, and how it ended if not well."""
    try:
        result = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b''
        text = output.decode(errors='replace') if isinstance(output, bytes) else output
        return parse(text.splitlines()), f'no answer for {PATIENCE} seconds'
    ending = None if result.returncode == 0 else f'status {result.returncode}'
    return parse(result.stdout.splitlines()), ending


def parse(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The JSON objects among lines."""
    return [json.loads(line) for line in lines if line.startswith('{') and line.endswith('}')]


def read_driver() -> str | None:
    """The newest CUDA of the NVIDIA driver, from ``nvidia-smi``; None where there is none."""
    program = shutil.which('nvidia-smi')
    if program is None:
        return None
    try:
        result = subprocess.run([program], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'CUDA Version:\s*([\d.]+)', result.stdout)
    return match.group(1) if match else None
