"""Which errors are one line, and which show where they come from."""

import argparse
import os
import sys

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS

from repnext_mm.border import DEBUG, ToolParser, is_foreseen, run_tool


def error_of(code: str, module: str = 'repnext_mm.some', **names: object) -> BaseException:
    """What code raises in a module of this name."""
    try:
        exec(compile(code, 'some.py', 'exec'), dict(names, __name__=module))
    except BaseException as error:
        return error
    raise AssertionError('nothing was raised')


def outcome(code: str, capsys, module: str = '__main__') -> tuple[object, str]:
    """Exit status and last line of a tool."""
    with pytest.raises(SystemExit) as info:
        run_tool(lambda: exec(compile(code, 'tool.py', 'exec'), dict(__name__=module)))
    return info.value.code, capsys.readouterr().err.strip()


@pytest.mark.parametrize(
    'code',
    [
        "raise ValueError('wrong')",
        "def check():\n    raise KeyError('wrong')\ncheck()",
        "try:\n    int('x')\nexcept ValueError as error:\n    raise TypeError('wrong') from error",
        "open('/no/such/file')",
        "compile('a b', 'config.py', 'exec')",
    ],
    ids=['raise', 'deep', 'from', 'file', 'syntax'],
)
def test_errors_that_somebody_wrote_are_foreseen(code):
    assert is_foreseen(error_of(code))


@pytest.mark.parametrize(
    'code',
    ["int('x')", "{}['key']", '[][1]', 'None.shape', 'len(5)', "__import__('math').sqrt(-1)"],
)
def test_errors_that_happen_are_not(code):
    assert not is_foreseen(error_of(code))


def test_errors_that_packages_raise_are_not():
    assert is_foreseen(
        error_of("raise FileNotFoundError('x.pth can not be found')", 'mmengine.runner')
    )
    assert not is_foreseen(error_of("raise ValueError('inner')", 'torch.nn'))
    assert not is_foreseen(error_of("raise ValueError('inner')", 'repnext_mm_of_others'))
    foreign = error_of("raise ValueError('inner')", 'torch.nn')
    assert is_foreseen(error_of("raise RuntimeError('outer') from inner", inner=foreign))
    ours = error_of("raise ValueError('ours')")
    assert is_foreseen(error_of("raise RuntimeError('outer') from inner", 'torch', inner=ours))


@pytest.mark.distribution
def test_what_mmengine_says_of_a_config_is_foreseen(tmp_path):
    (tmp_path / 'typo.py').write_text("model = dict(type='RepNeXt'")
    with pytest.raises(SyntaxError) as syntax:
        Config.fromfile(tmp_path / 'typo.py')
    with pytest.raises(KeyError) as unknown:
        MODELS.build(dict(type='RepNeXxt'))
    assert is_foreseen(syntax.value) and is_foreseen(unknown.value)


@pytest.mark.parametrize(
    ('code', 'status', 'line'),
    [
        ("raise ValueError('no such form')", 2, 'ValueError: no such form'),
        ("raise FileNotFoundError('there is no x')", 2, 'FileNotFoundError: there is no x'),
        ("raise RuntimeError('it differs')", 1, 'RuntimeError: it differs'),
        ("raise OSError(28, 'No space left')", 1, 'OSError: [Errno 28] No space left'),
        ('raise KeyboardInterrupt', 130, 'KeyboardInterrupt: stopped by Ctrl-C'),
    ],
)
def test_an_error_is_one_line_and_a_status(code, status, line, capsys):
    assert outcome(code, capsys) == (status, line)


def test_a_tool_that_ends_well_ends_with_what_it_returns(capsys):
    for returned, status in ((None, 0), (0, 0), (1, 1)):
        with pytest.raises(SystemExit) as info:
            run_tool(lambda returned=returned: returned)
        assert info.value.code == status
    assert capsys.readouterr().err == ''


def test_unforeseen_errors_keep_their_traceback():
    with pytest.raises(TypeError, match='has no len'):
        run_tool(lambda: len(5))  # type: ignore[arg-type]


def test_debug_keeps_every_traceback(monkeypatch):
    def tool() -> None:
        raise ValueError('foreseen')

    monkeypatch.setitem(tool.__globals__, '__name__', 'repnext_mm.tool')
    with pytest.raises(SystemExit):
        run_tool(tool)
    monkeypatch.setenv(DEBUG, '1')
    with pytest.raises(ValueError, match='foreseen'):
        run_tool(tool)


def test_debug_is_an_option_of_every_parser(monkeypatch):
    monkeypatch.setenv(DEBUG, '0')
    parser = ToolParser(prog='tool')
    assert parser.parse_args([]) == argparse.Namespace() and os.environ[DEBUG] == '0'
    assert parser.parse_args(['--debug']) == argparse.Namespace()
    assert os.environ[DEBUG] == '1' and '--debug' in parser.format_help()


def test_each_of_several_processes_says_its_number(monkeypatch, capsys):
    for name, value in (('WORLD_SIZE', '2'), ('RANK', '1')):
        monkeypatch.setenv(name, value)
    status, line = outcome("raise ValueError('no such form')", capsys)
    assert (status, line) == (2, 'ValueError: no such form [rank 1]')


def test_output_stands_before_the_error(monkeypatch):
    written: list[str] = []
    for name in ('stdout', 'stderr'):
        stream = getattr(sys, name)
        monkeypatch.setattr(stream, 'flush', lambda name=name: written.append(name), raising=False)
    with pytest.raises(SystemExit):
        run_tool(lambda: exec("raise ValueError('x')", dict(__name__='__main__')))
    assert written.index('stdout') < written.index('stderr')
