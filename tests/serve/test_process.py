"""The service as a process of its own, and its command line."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import cv2
import numpy as np
import pytest
import serving  # noqa: F401 (skips this file without the packages)
from tiny_networks import tiny_classifier

from repnext_mm.serve.__main__ import listen, parse_arguments, run_service

SLOW_AND_HEARD = """
import sys, time
sys.argv[0] = 'repnext-mm'  # as its command, which needs no torch
from repnext_mm.runtime import Classifier
answer = Classifier.__call__

def slow(self, image):
    if image.shape[0] == 9:
        print('computing', flush=True)
        time.sleep(1)
    return answer(self, image)

Classifier.__call__ = slow

def hear(event, arguments):
    if event in ('socket.getaddrinfo', 'socket.gethostbyname', 'socket.connect'):
        print('called', event, arguments, flush=True)

sys.addaudithook(hear)
from repnext_mm.serve.__main__ import run_service
from repnext_mm.border import run_tool
import repnext_mm.serve.app
print('torch' if 'torch' in sys.modules else 'without torch', flush=True)
run_tool(lambda: run_service(sys.argv[1:]))
"""


def test_sigterm_ends_it_after_the_last_answer(tmp_path):
    """It needs no torch, looks up nobody, writes nothing, and its exit status is 0."""
    model = tiny_classifier(tmp_path / 'tiny.onnx')
    empty = tmp_path / 'empty'
    empty.mkdir()
    environment = os.environ | dict(
        HOME=str(empty), TMPDIR=str(empty), PYTHONDONTWRITEBYTECODE='1', PYTHONWARNINGS='ignore'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', SLOW_AND_HEARD, model, '--port', '0'],
        cwd=empty,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        lines = []
        while not (found := re.search(r'http://127\.0\.0\.1:\d+', ''.join(lines))):
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        image = np.random.default_rng(0).integers(0, 256, (9, 70_000, 3)).astype(np.uint8)
        content = cv2.imencode('.png', image)[1].tobytes()
        answers = []
        request = urllib.request.Request(f'{found[0]}/predict', content, method='POST')
        thread = threading.Thread(
            target=lambda: answers.append(urllib.request.urlopen(request, timeout=60).status)
        )
        thread.start()
        while 'computing' not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        process.send_signal(signal.SIGTERM)
        thread.join(60)
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert answers == [200] and process.returncode == 0, rest
    assert 'called' not in ''.join(lines) + rest and 'Traceback' not in rest
    assert 'without torch\n' in lines and list(empty.iterdir()) == []


def test_a_taken_port_is_one_line():
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf'127\.0\.0\.1:{port} .*--port'):
            listen('127.0.0.1', port)


@pytest.mark.parametrize('option', ['--concurrency', '--timeout', '--max-megabytes'])
def test_limits_are_more_than_nothing(option, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(['model.onnx', option, '0'])
    assert f'{option} is more than 0' in capsys.readouterr().err


def test_only_this_machine_is_served_unless_asked():
    assert parse_arguments(['model.onnx']).host == '127.0.0.1'


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'uvicorn', None)
    with pytest.raises(ImportError, match=r'uvicorn.*repnext-mm\[serve\]'):
        run_service(['model.onnx'])


def test_a_missing_file_is_told_before_anything_is_served():
    with pytest.raises(FileNotFoundError, match=r'missing\.onnx'):
        run_service(['missing.onnx'])
