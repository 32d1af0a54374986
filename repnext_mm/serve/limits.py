"""What a service takes at most, and how it says no."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ServiceLimits:
    """What a service takes at most."""

    max_bytes: int = 20 * 2**20
    """Of a request's body."""

    max_pixels: int = 50_000_000
    """Of a picture; known from its header, before it is decoded."""

    max_seconds: float = 30.0
    """For a request: its body must be there by then, and its answer."""

    concurrency: int = 1
    """Pictures that are computed at a time; each run uses all threads of the runtime."""

    waiting: int = 8
    """Requests that may wait for their turn; more of them are sent away."""


USUAL_LIMITS = ServiceLimits()


class RefusedError(Exception):
    """A request that is not answered, and what to do about it.

    Args:
        status: Of HTTP.
        message: What is wrong; names the value.
        remedy: What to do instead.
        **details: Such as ``limit``, its name, and ``allowed``, its value.
    """

    def __init__(self, status: int, message: str, remedy: str, **details: Any):
        super().__init__(message)
        self.status = status
        self.message = message
        self.remedy = remedy
        self.details = details

    def to_json(self) -> dict[str, Any]:
        """The body of the answer."""
        entries = dict(status=self.status, message=self.message, remedy=self.remedy)
        return dict(error=entries | self.details)


def too_large(got: int | None, allowed: int) -> RefusedError:
    """For a body that is longer than allowed.

    Args:
        got: Its length in bytes, where the request tells it.
        allowed: The most bytes.
    """
    length = 'more than that' if got is None else f'{got:,} bytes'
    return RefusedError(
        413,
        f'the body may have {allowed:,} bytes, and has {length}',
        'send a smaller picture, or start the service with a larger --max-megabytes',
        limit='max_bytes',
        allowed=allowed,
    )


def too_many_pixels(width: int, height: int, allowed: int) -> RefusedError:
    """For a picture that is larger than allowed."""
    return RefusedError(
        413,
        f'a picture may have {allowed:,} pixels, and this one has {width} x {height}',
        'send a smaller picture, or start the service with a larger --max-megapixels',
        limit='max_pixels',
        allowed=allowed,
    )


def too_busy(allowed: int) -> RefusedError:
    """For a request beyond those that may wait."""
    return RefusedError(
        429,
        f'{allowed} requests are being computed or wait already',
        'send it again later; --concurrency and --waiting of the service allow more',
        limit='concurrency + waiting',
        allowed=allowed,
    )


def too_slow(seconds: float, body_is_there: bool) -> RefusedError:
    """For a request that took too long: its body (408), or its answer (504)."""
    what = 'the answer' if body_is_there else 'the body of the request'
    remedy = 'send a smaller picture or fewer at a time' if body_is_there else 'send it faster'
    return RefusedError(
        504 if body_is_there else 408,
        f'{what} was not there after {seconds:g} seconds',
        f'{remedy}, or start the service with a longer --timeout',
        limit='max_seconds',
        allowed=seconds,
    )
