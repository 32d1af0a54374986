"""Fixtures of all tests, and the order of their files."""

import gc
import importlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

LONGEST = (
    'export/test_exporter.py',
    'tools/test_demo.py',
    'test_configs.py',
    'quantization/test_quantization.py',
    'projects/test_mm_tools.py',
    'export/test_dense_detectors.py',
    'tools/test_benchmark.py',
    'test_packaging.py',
    'reparam/test_loading.py',
    'tools/test_tools.py',
    'hooks/test_checkpoint_hook.py',
    'hooks/test_reseed_hook.py',
    'tools/test_resume.py',
    'models/test_merge_frozen_norms.py',
    'networks/test_layouts.py',
    'reparam/test_convert.py',
    'reparam/test_primitives.py',
    'tools/test_checkpoint_tools.py',
    'projects/test_inferencers.py',
    'networks/test_torch_alone.py',
    'tools/test_slurm.py',
    'projects/test_imported_backbones.py',
    'test_timm.py',
    'models/test_repnext.py',
    'classification/test_head.py',
    'runtime/test_runtime.py',
    'reparam/test_training.py',
    'compat/test_packages.py',
    'test_real_data.py',
    'hooks/test_reparameterize_hook.py',
    'evaluation/test_model_zoo.py',
    'tools/test_quantize.py',
    'test_trained.py',
    'hooks/test_distributed.py',
)
"""The files of tests that take more than about ten seconds, the longest first."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Imports the package before any file of tests does, where tests are to run.

    The process that hands out the files to others runs none, and starts them seconds earlier.
    A tenth of the time went into the garbage collector: see also :func:`frozen`.
    """
    if not session.config.pluginmanager.hasplugin('dsession'):
        importlib.import_module('repnext_mm')
        gc.set_threshold(5000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first: processes that share the rest end at about the same time."""
    tests = Path(__file__).parent
    rank = {tests / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.fixture(scope='module', autouse=True)
def frozen() -> None:
    """What imports and earlier files left behind is in no garbage collection from here on."""
    gc.collect()
    gc.freeze()


LOCAL = ('localhost', '127.0.0.1', '::1', '', None, socket.gethostname())
"""Hosts that are this machine."""

called: list[str] = []
"""The other hosts that anything in this process has looked up or connected to."""


def note_call(event: str, arguments: tuple) -> None:
    """An audit hook, which Python keeps for as long as the process lives."""
    if event in ('socket.getaddrinfo', 'socket.gethostbyname'):
        host = arguments[0]
    elif event == 'socket.connect' and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    name = host.decode() if isinstance(host, bytes) else host
    if name not in LOCAL:
        called.append(name)


sys.addaudithook(note_call)


@pytest.fixture(autouse=True)
def nobody_is_called() -> Iterator[None]:
    """No tool, and nothing else that a test runs in this process, looks up any host unasked."""
    before = len(called)
    yield
    assert called[before:] == [], f'{called[before:]} were looked up or connected to'


@pytest.fixture(autouse=True)
def trust():
    """Again, because onedl-mmengine takes its part of the list away after every load."""
    import repnext_mm

    repnext_mm.compat.trust_mmengine_checkpoints()


@pytest.fixture(autouse=True)
def environment():
    """No environment variable that an earlier test has set: tools forbid code in checkpoints so."""
    with patch.dict(os.environ):
        os.environ.pop('TORCH_FORCE_WEIGHTS_ONLY_LOAD', None)
        yield


@pytest.fixture(autouse=True)
def scope():
    """No default scope that an earlier test of this process has set."""
    from mmengine.registry import DefaultScope

    DefaultScope._instance_dict.clear()
