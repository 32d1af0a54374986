"""The service as an ASGI application of Starlette."""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import PurePath
from time import perf_counter
from typing import Any

import anyio
import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from repnext_mm.runtime import ExportedNetwork
from repnext_mm.runtime.images import read_image
from repnext_mm.serve.answer_options import AnswerOptions, read_options
from repnext_mm.serve.answers import Answer, answer_for
from repnext_mm.serve.bodies import check_picture, read_content
from repnext_mm.serve.limits import USUAL_LIMITS, RefusedError, ServiceLimits, too_slow
from repnext_mm.serve.metrics import METRICS_TYPE, ServiceMetrics
from repnext_mm.serve.turns import Turns
from repnext_mm.viewer import MEDIA_TYPES_OF_FILES, OF_SERVICE, describe_network, page_files

PAGE_HEADERS = {
    'Content-Security-Policy': "frame-ancestors 'none'",
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-cache',
}
"""Nobody frames the page; what else it may do stands in itself."""

log = logging.getLogger('uvicorn.error')


class Service:
    """An exported network behind HTTP.

    Args:
        reader: The network.
        name: What the page calls it.
        limits: What is taken at most.
    """

    def __init__(self, reader: ExportedNetwork, name: str, limits: ServiceLimits):
        self.reader: Any = reader
        self.limits = limits
        self.turns = Turns(limits)
        self.is_ready = False
        self.metrics = ServiceMetrics(lambda: self.turns.present, lambda: self.is_ready)
        self.description = describe_network(reader, name) | dict(limits=vars(limits))
        self.page = page_files(OF_SERVICE)

    def routes(self) -> list[Route]:
        """The addresses of the service."""
        return [
            Route('/', self.page_file('index.html')),
            *(Route(f'/{name}', self.page_file(name)) for name in self.page),
            Route('/model', self.model),
            Route('/predict', self.predict, methods=['POST']),
            Route('/health', self.health),
            Route('/health/live', self.live),
            Route('/health/ready', self.health),
            Route('/metrics', self.numbers),
        ]

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Runs the network once, so that the first picture does not wait; ends with the threads' end."""
        self.turns.pool.submit(self._warm_up)
        yield
        self.is_ready = False
        self.turns.close()

    def _warm_up(self) -> None:
        try:
            self.reader(np.full((64, 64, 3), 128, np.uint8))
            self.is_ready = True
        except Exception:
            log.exception('the network does not run, and the service never becomes ready')

    def page_file(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint that gives a file of the page."""
        kind = MEDIA_TYPES_OF_FILES[PurePath(name).suffix]

        async def give(_: Request) -> Response:
            return Response(self.page[name], media_type=kind, headers=PAGE_HEADERS)

        return give

    async def model(self, _: Request) -> Response:
        """What the network is, and the limits."""
        return JSONResponse(self.description)

    async def live(self, _: Request) -> Response:
        """Whether the process answers."""
        return JSONResponse(dict(live=True))

    async def health(self, _: Request) -> Response:
        """Whether the network is ready; 503 while it is not."""
        entries = dict(live=True, ready=self.is_ready)
        return JSONResponse(entries, 200 if self.is_ready else 503)

    async def numbers(self, _: Request) -> Response:
        """The metrics."""
        return Response(self.metrics.as_text(), headers={'Content-Type': METRICS_TYPE})

    async def predict(self, request: Request) -> Response:
        """Predicts what is in a picture."""
        with self.metrics.request() as note:
            try:
                answer = await self._in_time(request)
            except RefusedError as refusal:
                note(refusal.status)
                raise
            note(200)
        return Response(answer.content, media_type=answer.media_type)

    async def _in_time(self, request: Request) -> Answer:
        options = read_options(request.query_params, self.reader.task)
        content = None
        try:
            with anyio.fail_after(self.limits.max_seconds):
                async with self.turns.turn() as turn:
                    content = await read_content(request, self.limits)
                    return await turn.compute(self._compute, content, options)
        except TimeoutError as error:
            raise too_slow(self.limits.max_seconds, content is not None) from error

    def _compute(self, content: bytes, options: AnswerOptions) -> Answer:
        start = perf_counter()
        check_picture(content, self.limits)
        try:
            pixels = read_image(content)
            answer = answer_for(self.reader, pixels, options)
        except ValueError as error:
            raise RefusedError(
                422, f'the picture cannot be looked at: {error}', 'send another one'
            ) from error
        self.metrics.pixels.inc(pixels.shape[0] * pixels.shape[1])
        self.metrics.network_seconds.observe(perf_counter() - start)
        return answer


def build_app(
    reader: ExportedNetwork, name: str, limits: ServiceLimits = USUAL_LIMITS
) -> Starlette:
    """The application, for uvicorn and other ASGI servers.

    Args:
        reader: The network.
        name: What the page calls it.
        limits: What is taken at most.
    """
    service = Service(reader, name, limits)
    handlers: dict[Any, Any] = {
        RefusedError: _refused,
        HTTPException: _not_there,
        Exception: _failed,
    }
    return Starlette(
        routes=service.routes(), exception_handlers=handlers, lifespan=service.lifespan
    )


async def _refused(_: Request, refusal: RefusedError) -> Response:
    headers = {'Retry-After': '1'} if refusal.status == 429 else {}
    return JSONResponse(refusal.to_json(), refusal.status, headers)


async def _not_there(request: Request, error: HTTPException) -> Response:
    message = f'{request.method} {request.url.path}: {error.detail}'
    remedy = 'POST pictures to /predict; the page is at /, the state at /health and /metrics'
    return await _refused(request, RefusedError(error.status_code, message, remedy))


async def _failed(request: Request, _: Exception) -> Response:
    refusal = RefusedError(
        500, 'the service failed', 'its log says why; send it to whoever runs it'
    )
    return await _refused(request, refusal)
