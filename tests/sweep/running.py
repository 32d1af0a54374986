"""Methods in processes of their own, each with a limit of time."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from sweep.methods import Method

Examine = Callable[[Method, tuple[str, ...]], dict[str, Any]]


class Running:
    """A method that is examined in a copy of this process.

    Args:
        method: What is examined.
        steps: As for :func:`sweep.steps.examine`.
        limit: Seconds, after which the process is ended.
        examine: What the process does.
    """

    def __init__(self, method: Method, steps: tuple[str, ...], limit: float, examine: Examine):
        context = multiprocessing.get_context('fork')
        self.results, sender = context.Pipe(duplex=False)
        self.method, self.steps, self.limit = method, steps, limit
        self.process = context.Process(target=_send, args=(sender, examine, method, steps))
        self.ends = time.monotonic() + limit
        self.process.start()
        sender.close()

    def record(self) -> dict[str, Any] | None:
        """The result; None while there is none."""
        late = time.monotonic() > self.ends
        if not self.results.poll() and not late:
            return None
        try:
            record = self.results.recv() if self.results.poll() else None
        except EOFError:
            record = None
        if record is None:
            self.process.kill()
        self.process.join()
        self.results.close()
        if record is not None:
            return record
        why = f'took longer than {self.limit:g} s' if late else f'exit {self.process.exitcode}'
        return dict.fromkeys(self.steps, why) | dict(where={}, seconds=self.limit)


def run_all(
    methods: Sequence[Method], steps: tuple[str, ...], limit: float, jobs: int, examine: Examine
) -> Iterator[tuple[Method, dict[str, Any]]]:
    """Examines methods, some at a time, and yields each with its result as soon as it is there."""
    waiting, running = list(methods), list[Running]()
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(Running(waiting.pop(0), steps, limit, examine))
        wait([job.results for job in running], timeout=1)
        for job in list(running):
            if (record := job.record()) is not None:
                running.remove(job)
                yield job.method, record


def _send(sender: Connection, examine: Examine, method: Method, steps: tuple[str, ...]) -> None:
    quiet = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        os.dup2(quiet, output)
    sender.send(examine(method, steps))
