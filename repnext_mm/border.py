"""Where a tool ends: what it says to its user, and with which exit status.

An error that somebody wrote for the user is one line; the traceback is for errors that nobody
foresaw, and for those who ask for it with ``--debug`` or ``REPNEXT_MM_DEBUG=1``.
"""

import argparse
import dis
import os
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

DEBUG = 'REPNEXT_MM_DEBUG'
"""Environment variable; with the value ``'1'`` every error shows its traceback."""

USAGE, FAILURE, INTERRUPTED = 2, 1, 130
"""Exit statuses: what the user gave is wrong; it is right and did not work; Ctrl-C."""

FILE_ERRORS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
"""Errors on the path that was given, whoever raises them."""

USAGE_ERRORS = (ValueError, TypeError, LookupError, ImportError, SyntaxError, *FILE_ERRORS)
"""Errors on what was given: options, configs, files. Others are failures."""

SPEAKERS = ('__main__', 'repnext_mm', 'mmengine.config', 'mmengine.registry')
"""Modules whose ``raise`` statements speak to the user: tools, this package, and what mmengine
says of configs and of the types in them."""


PROGRAM = 'repnext-mm'
"""The command of which the tools are parts."""


def program_name(alone: str) -> str:
    """What a user types to run the tool that runs: ``repnext-mm NAME``, or else its own call.

    Args:
        alone: The call without ``repnext-mm``, such as ``'tools/train.py'``.
    """
    return sys.argv[0] if sys.argv[0].startswith(f'{PROGRAM} ') else alone


class ToolParser(argparse.ArgumentParser):
    """A parser with the option ``--debug``, which works for everything that comes after it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.add_argument(
            '--debug', action=_Debug, help='show the traceback of every error; for reports'
        )


class _Debug(argparse.Action):
    """Sets the environment variable, which processes that the tool starts inherit."""

    def __init__(self, option_strings: list[str], dest: str, help: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, *_: object) -> None:
        os.environ[DEBUG] = '1'


def run_tool(main: Callable[[], int | None]) -> NoReturn:
    """Runs a tool and ends the process.

    Args:
        main: The tool; it returns the exit status, None for 0.

    Raises:
        SystemExit: At the end, with 0 or what ``main`` returned; 2 for an error in what the user
            gave, 1 for other foreseen errors, 130 for Ctrl-C.
        Exception: Errors that nobody foresaw, and all with ``--debug``: Python shows the traceback
            and ends with 1.
    """
    try:
        sys.exit(main() or 0)
    except KeyboardInterrupt:
        if wants_traceback():
            raise
        say('KeyboardInterrupt: stopped by Ctrl-C')
        sys.exit(INTERRUPTED)
    except Exception as error:
        if wants_traceback() or not is_foreseen(error):
            raise
        say(''.join(traceback.format_exception_only(error)).strip())
        sys.exit(USAGE if isinstance(error, USAGE_ERRORS) else FAILURE)


def wants_traceback() -> bool:
    """Whether the user asked for tracebacks."""
    return os.environ.get(DEBUG, '0') not in ('', '0')


def say(text: str) -> None:
    """Writes to standard error, after what stands in standard output.

    The number of the process comes last where there are several, so that the line still begins
    with the class of the error.
    """
    if int(os.environ.get('WORLD_SIZE', 1)) > 1:
        text += f' [rank {os.environ.get("RANK", "?")}]'
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def tell_progress(text: str) -> None:
    """Writes a line to standard output, at once."""
    print(text, flush=True)


def is_foreseen(error: BaseException) -> bool:
    """Whether an error was written for the user.

    That is one which a ``raise`` statement of :data:`SPEAKERS` made, or made again from; one of
    the system about a file; or one about the syntax of a config. An index out of range, or a call
    with an argument of a wrong type, is none, wherever it happens.
    """
    if isinstance(error, (*FILE_ERRORS, SyntaxError)):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return True
    chain: BaseException | None = error
    while chain is not None:
        if is_spoken(chain.__traceback__):
            return True
        chain = chain.__cause__
    return False


def is_spoken(trace: TracebackType | None) -> bool:
    """Whether the innermost line of a traceback is a ``raise`` statement of :data:`SPEAKERS`."""
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    module = str(trace.tb_frame.f_globals.get('__name__', ''))
    if not any(module == name or module.startswith(f'{name}.') for name in SPEAKERS):
        return False
    instruction = trace.tb_frame.f_code.co_code[trace.tb_lasti]
    return dis.opname[instruction] == 'RAISE_VARARGS'
