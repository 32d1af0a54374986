"""The hook of conftest.py, which fails every test that calls somebody, sees who is called."""

from pathlib import Path

import pytest
from commands import TOOLS

WITHOUT_A_RUN = {'model_zoo.py'}
"""Writes a page of this repository, for minutes; evaluation/test_model_zoo.py asks its functions."""


@pytest.fixture
def hook(request):
    """``note_call`` and the list that it writes to, as pytest has imported them."""
    plugins = request.config.pluginmanager.get_plugins()
    (found,) = (plugin for plugin in plugins if hasattr(plugin, 'note_call'))
    return found


@pytest.mark.parametrize(
    ('event', 'arguments', 'noted'),
    [
        ('socket.getaddrinfo', ('example.invalid', 443, 0, 0, 0), ['example.invalid']),
        ('socket.getaddrinfo', (b'example.invalid', 443, 0, 0, 0), ['example.invalid']),
        ('socket.gethostbyname', ('example.invalid',), ['example.invalid']),
        ('socket.connect', (None, ('192.0.2.1', 9)), ['192.0.2.1']),
        ('socket.connect', (None, '/run/socket'), []),
        ('socket.getaddrinfo', ('localhost', 443, 0, 0, 0), []),
        ('open', ('file', 'r', 0), []),
    ],
)
def test_calls_of_others_are_noted(hook, event, arguments, noted):
    before = len(hook.called)
    try:
        hook.note_call(event, arguments)
        assert hook.called[before:] == noted
    finally:
        del hook.called[before:]


def test_the_hook_hears_python(hook):
    import sys

    before = len(hook.called)
    sys.audit('socket.getaddrinfo', 'example.invalid', 443, 0, 0, 0)
    assert hook.called[before:] == ['example.invalid']
    del hook.called[before:]


def test_every_tool_does_its_work_under_the_hook():
    tests = Path(__file__).parent
    wrong_usages = tests / 'tools' / 'test_messages.py'
    files = {*tests.rglob('test_*.py'), tests / 'commands.py'} - {wrong_usages}
    texts = [path.read_text() for path in files]
    tools = {path.name for path in TOOLS.glob('*.py')} - WITHOUT_A_RUN
    assert {name for name in tools if not any(f"'{name}'" in text for text in texts)} == set()
