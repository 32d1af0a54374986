"""The screen of a tool: progress, warnings that matter, the result; the rest is in the log file."""

import argparse
import logging
import os
import re
import sys
import warnings
from typing import Any, cast

from mmengine.logging import MMLogger

from repnext_mm.launch.details import LOGGED, PRINTED, WARNED, is_detail

VERBOSE = 'REPNEXT_MM_VERBOSE'
"""Environment variable; with the value ``'1'`` the screen has everything."""

LOG_HEAD = re.compile(r'\d\d/\d\d \d\d:\d\d:\d\d - \S+ - (?:\x1b\[\d+m)*(\w+)(?:\x1b\[0m)? - ')
"""What mmengine's loggers write before a message, with its level."""


class Screen:
    """A stream that leaves out what :mod:`~repnext_mm.launch.details` lists.

    mmengine's loggers write a whole message at once, ``print`` writes a text and then the end of
    the line. Errors are never left out. Everything else is that of the stream behind it.
    """

    def __init__(self, stream: Any):
        self._stream = stream
        self._left_out = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes a text, or not."""
        if self._left_out and text == '\n':
            self._left_out = False
            return len(text)
        head = LOG_HEAD.match(text)
        if head is None:
            left_out = is_detail(text, PRINTED)
        else:
            left_out = head[1] not in ('ERROR', 'CRITICAL') and is_detail(
                text[head.end() :], LOGGED
            )
        self._left_out = left_out and not text.endswith('\n')
        return len(text) if left_out else self._stream.write(text)


class _Verbose(argparse.Action):
    """Sets the environment variable, which processes that the tool starts inherit."""

    def __init__(self, option_strings: list[str], dest: str, help: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, *_: object) -> None:
        os.environ[VERBOSE] = '1'


def add_verbose_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option ``--verbose``, which :func:`use_screen` follows."""
    parser.add_argument(
        '--verbose',
        action=_Verbose,
        help='show all that the packages say, which is otherwise in the log file alone',
    )


def use_screen() -> None:
    """Lets this process write to a :class:`Screen`, unless everything is to be shown.

    Warnings of Python that the list has are left out too. May be called again.
    """
    if os.environ.get(VERBOSE, '0') not in ('', '0'):
        return
    if not isinstance(sys.stdout, Screen):
        sys.stdout = cast(Any, Screen(sys.stdout))
    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler and not isinstance(handler.stream, Screen):
                handler.setStream(cast(Any, Screen(handler.stream)))
    for detail in WARNED:
        warnings.filterwarnings('ignore', message=detail.pattern)
