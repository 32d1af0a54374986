"""A small dataset and a detector trained on it, once for all tests of the tools."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from commands import TOOLS, train

from repnext_mm.demo.shapes import generate_shapes


@pytest.fixture(scope='session')
def data(tmp_path_factory) -> Path:
    return generate_shapes(tmp_path_factory.mktemp('data') / 'shapes', train=8, val=6)


@pytest.fixture(scope='session')
def checkpoint(data, tmp_path_factory) -> Path:
    """A detector after some iterations, with scores high enough to find things."""
    work_dir = tmp_path_factory.mktemp('train')
    train(data, work_dir, 6)
    return work_dir / 'iter_6.pth'


@pytest.fixture
def inside(monkeypatch, capsys):
    """Runs a tool in this process, which saves it the seconds that imports take."""
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '1')
    monkeypatch.setenv('LOCAL_RANK', '0')

    def run(name: str, *arguments: object, **environment: object) -> subprocess.CompletedProcess:
        command = [name, *map(str, arguments)]
        monkeypatch.setattr(sys, 'argv', command)
        for variable, value in environment.items():
            monkeypatch.setenv(variable, str(value))
        capsys.readouterr()
        code, message = 0, ''
        try:
            runpy.run_path(str(TOOLS / name), run_name='__main__')
        except SystemExit as stop:
            code = stop.code or 0
        except Exception as error:
            code, message = 1, str(error)
        output = capsys.readouterr()
        return subprocess.CompletedProcess(command, code, output.out, output.err + message)

    return run
