"""The hook of conftest.py, which fails every test that calls somebody, sees who is called."""

import pytest


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
