"""Numbers about a service, in the text format of Prometheus."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

METRICS_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper bounds of the histograms' buckets."""


class ServiceMetrics:
    """The numbers of one service.

    Args:
        present: Gives how many requests are computed or wait.
        ready: Gives whether the network is ready.
    """

    def __init__(self, present: Callable[[], int], ready: Callable[[], bool]):
        self.registry = CollectorRegistry()
        self.requests = Counter(
            'repnext_mm_requests',
            'Requests for predictions, by the status of the answer',
            ['status'],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            'repnext_mm_request_seconds',
            'From a request to its answer',
            buckets=SECONDS,
            registry=self.registry,
        )
        self.network_seconds = Histogram(
            'repnext_mm_network_seconds',
            'To decode a picture, run the network, and prepare its answer',
            buckets=SECONDS,
            registry=self.registry,
        )
        self.pixels = Counter(
            'repnext_mm_pixels', 'Pixels of all pictures that were decoded', registry=self.registry
        )
        for name, text, function in (
            ('repnext_mm_requests_present', 'Requests that are computed or wait', present),
            ('repnext_mm_ready', 'Whether the network is ready', ready),
        ):
            Gauge(name, text, registry=self.registry).set_function(function)

    @contextmanager
    def request(self) -> Iterator[Callable[[int], None]]:
        """Counts a request; the function that it gives takes the status of its answer."""
        start = perf_counter()
        status = 500

        def note(value: int) -> None:
            nonlocal status
            status = value

        try:
            yield note
        finally:
            self.requests.labels(str(status)).inc()
            self.request_seconds.observe(perf_counter() - start)

    def as_text(self) -> bytes:
        """Everything, for ``/metrics``."""
        return generate_latest(self.registry)
