"""The tools as processes: their command lines, their logs, and what goes wrong in them."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repnext_mm.border import PROGRAM

LAUNCHERS = ('none', 'pytorch', 'slurm')
PROGRESS = re.compile(r'(Epoch|Iter)\((train|val|test)\)')
"""Lines of mmengine's log that tell how far a run is."""

LOG_PREFIX = re.compile(r'^\d+/\d+ [\d:]+ - mmengine - \w+ - ')
ERROR = re.compile(r'(?:\[rank(\d+)\]:\s*)?((?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\b.*)')
"""A line of a log that names an exception, and the process of several whose it is."""

OF_TORCHRUN = 'ChildFailedError'
"""What torchrun raises after any error in one of its processes."""


@dataclass(frozen=True)
class Launcher:
    """How processes of ``tools/train.py`` and ``tools/test.py`` start.

    Raises:
        ValueError: If the kind is unknown, or something that it needs is missing.
    """

    tools: Path
    """The folder of the tools."""

    kind: str = 'none'
    processes: int | None = None
    """For ``'pytorch'``, which needs it; Slurm's come from GPUS and its kin in the environment."""

    partition: str | None = None
    """For ``'slurm'``, which needs it."""

    def __post_init__(self) -> None:
        if self.kind not in LAUNCHERS:
            raise ValueError(f'unknown launcher {self.kind!r}: choose from {", ".join(LAUNCHERS)}')
        if (self.kind == 'pytorch') != (self.processes is not None):
            raise ValueError(
                "the number of processes belongs to launcher='pytorch', which needs it"
            )
        if (self.kind == 'slurm') != (self.partition is not None):
            raise ValueError("the partition belongs to launcher='slurm', which needs it")

    def command(self, tool: str, arguments: Sequence[object], alone: bool = False) -> list[str]:
        """The command line of a tool.

        Args:
            tool: Name of its file.
            arguments: Its arguments.
            alone: Whether it takes one process only.
        """
        given = [str(argument) for argument in arguments]
        if alone or self.kind == 'none':
            return [sys.executable, '-u', str(self.tools / tool), *given]
        if self.kind == 'pytorch':
            return [str(self.tools / 'dist_run.sh'), tool, str(self.processes), *given]
        name = f'repnext_{Path(tool).stem}'
        return [str(self.tools / 'slurm_run.sh'), tool, str(self.partition), name, *given]


def shown_command(tool: str, arguments: Sequence[object]) -> str:
    """What a user types to run a tool in this way, in one process.

    Args:
        tool: Name of its file.
        arguments: Its arguments.
    """
    return shlex.join([PROGRAM, Path(tool).stem, *map(str, arguments)])


def config_options(options: Mapping[str, Any]) -> list[str]:
    """Changes to a config as the tools' command lines take them; none without changes."""
    pairs = [f'{key}={_as_text(value)}' for key, value in options.items()]
    return ['--cfg-options', *pairs] if pairs else []


def _as_text(value: Any) -> str:
    """A value as :class:`~repnext_mm.launch.options.ConfigOptions` reads it."""
    if isinstance(value, list | tuple):
        opening, closing = '()' if isinstance(value, tuple) else '[]'
        return opening + ','.join(map(_as_text, value)) + closing
    if isinstance(value, str) and ',' in value:
        quote = '"' if "'" in value else "'"
        return f'{quote}{value}{quote}'
    return str(value)


def run_logged(command: Sequence[str], log: Path, say: Callable[[str], None]) -> int:
    """Runs a command, keeps all that it prints, and passes its progress on.

    Args:
        command: What to run.
        log: File for the output, replaced.
        say: Called with lines that tell how far it is.

    Returns:
        The exit status.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # Wrappers print the tools' processes in PYTHON, as a user's call of them would.
    environment = {'PYTHON': sys.executable} | os.environ
    with (
        log.open('w', encoding='utf-8') as file,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            env=environment,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                file.write(line)
                file.flush()
                if PROGRESS.search(line):
                    say(LOG_PREFIX.sub('', line).strip())
        except BaseException:
            process.send_signal(signal.SIGINT)
            raise
    return process.returncode


def reason_of(log: Path, status: int) -> str:
    """Why a command failed: the last error in its log, else its last line, in one line.

    Of several processes that of the first to fail counts; the others fail for want of it.
    """
    lines = log.read_text(encoding='utf-8').splitlines() if log.is_file() else []
    lines = [line.strip() for line in lines if line.strip()]
    errors = [found.groups() for line in lines if (found := ERROR.match(line))]
    errors = [(rank, text) for rank, text in errors if OF_TORCHRUN not in text]
    ranks = [rank for rank, _ in errors if rank]
    texts = [text for rank, text in errors if not ranks or rank == ranks[0]]
    said = (texts or lines or ['it printed nothing'])[-1]
    return f'{said[:300]} (exit status {status}; {log})'
