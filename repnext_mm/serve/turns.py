"""Requests take turns: some are computed in threads, some wait, more are sent away."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from repnext_mm.serve.limits import ServiceLimits, too_busy


class Turns:
    """The threads of a service, and the requests that are there.

    Args:
        limits: How many of each.
    """

    def __init__(self, limits: ServiceLimits):
        self.most = limits.concurrency + limits.waiting
        self.pool = ThreadPoolExecutor(limits.concurrency, 'network')
        self.lock = threading.Lock()
        self.present = 0
        """Requests that are computed or wait, also after their client was told that it took too long."""

    def turn(self) -> 'Turn':
        """A place among the requests, to be used as an asynchronous context."""
        return Turn(self)

    def enter(self) -> None:
        """Takes a place.

        Raises:
            RefusedError: If all are taken.
        """
        with self.lock:
            if self.present >= self.most:
                raise too_busy(self.most)
            self.present += 1

    def leave(self) -> None:
        """Gives a place back."""
        with self.lock:
            self.present -= 1

    def close(self) -> None:
        """Lets what is computed come to its end, and starts nothing more."""
        self.pool.shutdown(wait=True, cancel_futures=True)


class Turn:
    """A place of one request.

    It is given back at the end of the context; if its computation still runs then, because nobody
    can stop a thread, when that ends.
    """

    def __init__(self, turns: Turns):
        self.turns = turns
        self.work: Future | None = None

    async def __aenter__(self) -> 'Turn':
        self.turns.enter()
        return self

    async def compute(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Runs a function in a thread, when there is one, and returns what it returns."""
        self.work = self.turns.pool.submit(function, *arguments)
        return await asyncio.wrap_future(self.work)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.work is None:
            self.turns.leave()
        else:
            self.work.cancel()
            self.work.add_done_callback(lambda _: self.turns.leave())
