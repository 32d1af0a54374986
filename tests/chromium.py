"""A headless Chromium, spoken to by its DevTools protocol over pipes, without any other package."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None
)
OPTIONS = (
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--hide-scrollbars',
    '--remote-debugging-pipe',
)
WITH_PIPES = """
import os, sys
for number, end in enumerate(sys.argv[1:3]):
    os.dup2(int(end), 1000 + number)
os.dup2(1000, 3)
os.dup2(1001, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads from the descriptor 3 and writes to 4, which may be others' in this process."""

PATIENCE = 120
"""Seconds for an answer, on a machine that does other things too."""


class Browser:
    """A page of a browser; give it addresses one after the other.

    Attributes:
        errors: What scripts and the browser complained about.
        requests: The addresses that the page asked for.
    """

    def __init__(self, writing: int, reading: int):
        self.writing, self.reading = writing, reading
        self.numbers = itertools.count(1)
        self.rest = b''
        self.session: str | None = None
        self.errors: list[str] = []
        self.requests: list[str] = []
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        attached = self.call('Target.attachToTarget', targetId=target, flatten=True)
        self.session = attached['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network', 'DOM'):
            self.call(f'{domain}.enable')

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol, and returns its result."""
        number = next(self.numbers)
        message: dict[str, Any] = dict(id=number, method=method, params=parameters)
        if self.session:
            message['sessionId'] = self.session
        content = json.dumps(message).encode() + b'\0'
        while content:
            content = content[os.write(self.writing, content) :]
        while True:
            answer = self.next_message()
            if answer.get('id') == number:
                assert 'error' not in answer, f'{method}: {answer["error"]}'
                return answer['result']
            self.note(answer)

    def next_message(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b'\0' not in self.rest:
            ready, _, _ = select.select([self.reading], [], [], max(0.0, end - time.monotonic()))
            assert ready, 'Chromium does not answer'
            chunk = os.read(self.reading, 1 << 20)
            assert chunk, 'Chromium has ended'
            self.rest += chunk
        message, _, self.rest = self.rest.partition(b'\0')
        return json.loads(message)

    def note(self, event: dict[str, Any]) -> None:
        kind, told = event.get('method'), event.get('params', {})
        if kind == 'Network.requestWillBeSent':
            self.requests.append(told['request']['url'])
        elif kind == 'Runtime.exceptionThrown':
            self.errors.append(json.dumps(told['exceptionDetails']))
        elif kind == 'Log.entryAdded' and told['entry']['level'] == 'error':
            self.errors.append(f'{told["entry"]["text"]} {told["entry"].get("url", "")}')

    def open(self, url: str, width: int = 1280, height: int = 860, dark: bool = False) -> None:
        """Goes to an address, in a window of a size."""
        size = dict(width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call('Emulation.setDeviceMetricsOverride', **size)
        scheme = dict(name='prefers-color-scheme', value='dark' if dark else 'light')
        self.call('Emulation.setEmulatedMedia', features=[scheme])
        self.call('Page.navigate', url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript, or of its promise."""
        answer = self.call(
            'Runtime.evaluate', expression=expression, awaitPromise=True, returnByValue=True
        )
        assert 'exceptionDetails' not in answer, answer['exceptionDetails']
        return answer['result'].get('value')

    def wait_for(self, expression: str) -> Any:
        """Waits until an expression is true, and returns its value."""
        end = time.monotonic() + PATIENCE
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < end, f'{expression} is not true; {self.errors}'
            time.sleep(0.05)
        return value

    def choose_files(self, selector: str, *paths: Path) -> None:
        """Gives files to an input, as a user does who chooses them."""
        root = self.call('DOM.getDocument')['root']['nodeId']
        node = self.call('DOM.querySelector', nodeId=root, selector=selector)['nodeId']
        self.call('DOM.setFileInputFiles', nodeId=node, files=[str(path) for path in paths])

    def screenshot(self, path: Path) -> None:
        """Writes what the window shows as a PNG."""
        path.write_bytes(base64.b64decode(self.call('Page.captureScreenshot')['data']))


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser that keeps its own files in a folder, and ends with the context."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    trampoline = [sys.executable, '-IS', '-c', WITH_PIPES, str(theirs_in), str(theirs_out)]
    process = subprocess.Popen(
        [*trampoline, CHROMIUM, *OPTIONS, f'--user-data-dir={folder}', 'about:blank'],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(ours_out, ours_in)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)
        os.close(ours_out)
        os.close(ours_in)
