"""Services in tests, where their packages are installed; a file that imports this is skipped elsewhere."""

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('starlette')
pytest.importorskip('uvicorn')
pytest.importorskip('httpx2')
pytest.importorskip('prometheus_client')
pytest.importorskip('python_multipart')

import uvicorn
from starlette.testclient import TestClient

from repnext_mm.runtime import ExportedNetwork
from repnext_mm.serve.app import build_app

__all__ = ['TestClient', 'as_file', 'build_app', 'served']


def as_file(image: np.ndarray, kind: str = 'png') -> bytes:
    """The content of a file with an image ``(H, W, 3)`` uint8, RGB."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, kind)
    return content.getvalue()


@contextmanager
def served(reader: ExportedNetwork, name: str = 'tiny') -> Iterator[str]:
    """A service in a thread; gives its address."""
    config = uvicorn.Config(build_app(reader, name), log_level='error', ws='none')
    server = uvicorn.Server(config)
    with socket.create_server(('127.0.0.1', 0)) as place:
        thread = threading.Thread(target=server.run, kwargs=dict(sockets=[place]))
        thread.start()
        try:
            yield f'http://127.0.0.1:{place.getsockname()[1]}/'
        finally:
            server.should_exit = True
            thread.join(30)
