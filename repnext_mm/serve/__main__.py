"""Serves an exported network over HTTP: pictures in, JSON or pictures out, and a page to drop them on.

POST a picture to /predict. The state is at /health, numbers for Prometheus at /metrics. Nothing is
written to a disk, and only this machine is served unless another --host is named.
"""

import argparse
import signal
import socket
from collections.abc import Sequence
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from types import FrameType

from repnext_mm.border import ToolParser, program_name, run_tool, say, tell_progress
from repnext_mm.compat import require_extra
from repnext_mm.serve.limits import USUAL_LIMITS, ServiceLimits

SERVING_PACKAGES = ('starlette', 'uvicorn', 'python_multipart', 'prometheus_client')


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(prog=program_name('python -m repnext_mm.serve'), description=__doc__)
    parser.add_argument('model', type=Path, help='file of the export tool')
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at; 127.0.0.1')
    parser.add_argument('--port', type=int, default=8000, help='8000; 0 for any that is free')
    parser.add_argument('--runtime', help='onnxruntime or openvino')
    parser.add_argument('--name', help='what the page calls it; the name of the file')
    for option, value, text in (
        ('--max-megabytes', USUAL_LIMITS.max_bytes / 2**20, 'of a request'),
        ('--max-megapixels', USUAL_LIMITS.max_pixels / 1e6, 'of a picture'),
        ('--timeout', USUAL_LIMITS.max_seconds, 'seconds for a request, with its wait'),
    ):
        parser.add_argument(option, type=float, default=value, help=f'{text}; {value:g}')
    for option, count, text in (
        ('--concurrency', USUAL_LIMITS.concurrency, 'pictures that are computed at a time'),
        ('--waiting', USUAL_LIMITS.waiting, 'requests that may wait'),
    ):
        parser.add_argument(option, type=int, default=count, help=f'{text}; {count}')
    args = parser.parse_args(arguments)
    for name in ('max_megabytes', 'max_megapixels', 'timeout', 'concurrency'):
        if getattr(args, name) <= 0:
            parser.error(f'--{name.replace("_", "-")} is more than 0, got {getattr(args, name)}')
    if args.waiting < 0:
        parser.error(f'--waiting is at least 0, got {args.waiting}')
    return args


def run_service(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or Ctrl-C, then lets what is computed come to its end."""
    args = parse_arguments(arguments)
    for package in SERVING_PACKAGES:
        require_extra(package, 'serve', 'serving over HTTP')
    import uvicorn

    from repnext_mm.runtime import open_reader
    from repnext_mm.serve.app import build_app

    limits = ServiceLimits(
        int(args.max_megabytes * 2**20),
        int(args.max_megapixels * 1e6),
        args.timeout,
        args.concurrency,
        args.waiting,
    )
    reader = open_reader(args.model, args.runtime)
    app = build_app(reader, args.name or args.model.stem, limits)
    config = uvicorn.Config(
        app,
        log_level='info',
        server_header=False,
        ws='none',
        timeout_graceful_shutdown=int(limits.max_seconds) + 1,
    )
    with closing(listen(args.host, args.port)) as place:
        signal.signal(signal.SIGTERM, end_well)
        host, port = place.getsockname()[:2]
        if not ip_address(host).is_loopback:
            say(f'{host} is open to other machines, and the service asks nobody who they are')
        shown = f'[{host}]' if ':' in host else host
        tell_progress(f'Serving {args.model} at http://{shown}:{port} until Ctrl-C')
        uvicorn.Server(config).run(sockets=[place])
    return 0


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises:
        OSError: If the address is taken, or none of this machine's; the message names it.
    """
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise OSError(
            f'{host}:{port} cannot be listened at ({error}): name another --port or --host'
        ) from error


def end_well(number: int, frame: FrameType | None) -> None:
    """Ends the process after uvicorn has finished what was asked, and raised the signal again."""
    raise SystemExit(0)


if __name__ == '__main__':
    run_tool(run_service)
