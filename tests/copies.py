"""Processes of their own without the seconds of imports: copies of one that has them behind it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = """
import json, os, sys, traceback
{setup}
for line in sys.stdin:
    job = json.loads(line)
    if os.fork() == 0:
        for stream, file in enumerate(job['files'], start=1):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        os.environ.clear()
        os.environ.update(job['environment'])
        sys.argv[1:] = job['arguments']
        try:
            exec(job['code'], dict(globals(), __name__='__main__'))
            status = 0
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""
"""Runs the code of each line of its input in a copy of itself, and says how that ended."""

Run = Callable[..., str]


@contextmanager
def copies_of(setup: str) -> Iterator[Run]:
    """Starts a Python that runs ``setup``, and gives a function that runs code in copies of it.

    The function takes code, its command-line arguments and, by name, environment variables
    (``None`` for one that must not be there). It returns what the code writes to standard output,
    and fails the test if the code raises.
    """
    command = [sys.executable, '-W', 'ignore', '-c', SERVER.format(setup=setup)]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(command, **pipes) as process:
        files = [Path(folder, name) for name in ('output', 'errors')]

        def run(code: str, *arguments: object, **environment: str | None) -> str:
            variables = os.environ | environment
            job = dict(
                code=code,
                arguments=[str(argument) for argument in arguments],
                environment={key: text for key, text in variables.items() if text is not None},
                files=[str(file) for file in files],
            )
            print(json.dumps(job), file=process.stdin, flush=True)
            status = process.stdout.readline()
            assert status == '0\n', files[1].read_text()[-3000:]
            return files[0].read_text().strip()

        yield run
        process.kill()
