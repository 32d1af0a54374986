"""The screen leaves out what is listed, and the log file does not."""

import argparse
import ast
import importlib.util
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import pytest
from mmengine.logging import MMLogger, print_log

from repnext_mm.compat import is_installed
from repnext_mm.launch import screen
from repnext_mm.launch.details import LOGGED, PRINTED, WARNED

DETAILS = dict.fromkeys([*LOGGED, *PRINTED, *WARNED])


@contextmanager
def new_screen() -> Iterator[io.StringIO]:
    """Standard output as a tool in a new process has it."""
    stream = io.StringIO()
    os.environ.pop(screen.VERBOSE, None)
    with warnings.catch_warnings(), redirect_stdout(stream):
        yield stream


def constants(module: str) -> list[str]:
    """All texts in the source of a module, which is not imported."""
    found = importlib.util.find_spec(module)
    tree = ast.parse(Path(found.origin).read_text(encoding='utf-8'))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [text for text in texts if isinstance(text, str)]


@pytest.mark.distribution
@pytest.mark.parametrize('detail', DETAILS, ids=lambda detail: detail.pattern[:30])
def test_the_packages_still_say_it(detail):
    if detail.onedl and not is_installed('mmdet.evaluation.metrics.faster_coco_metric'):
        pytest.skip("OneDL's packages alone")
    if detail.pattern.startswith('To copy construct'):
        pytest.skip("torch's own words, in compiled code")
    assert any(detail.in_source() in text for text in constants(detail.module))
    assert detail.reason


@pytest.mark.distribution
def test_a_detail_is_in_the_file_and_not_on_the_screen(tmp_path):
    with new_screen() as shown:
        say(tmp_path / 'log')
    lines = [line.rsplit(' - ', 1)[-1] for line in shown.getvalue().splitlines()]
    one = ['The prefix is not set in metric class Mine.', 'Epoch(train) [1][2/2] eta: 0:00:01']
    assert lines == [*one, 'Exp name: b', *one, 'Exp name: b', 'mine']
    text = (tmp_path / 'log').read_text()
    assert 'model = 1' in text and 'Exp name: a' in text and 'class IoUMetric' in text


def say(file: Path) -> None:
    """Loggers from before and after the screen is there say something, and so do prints."""
    before = MMLogger.get_instance('before_screen', logger_name='mmengine')
    screen.use_screen()
    screen.use_screen()
    after = MMLogger.get_instance('after_screen', logger_name='mmengine', log_file=str(file))
    for logger in (before, after):
        logger.info('Config:\nmodel = 1\n')
        logger.info('Exp name: a')
        logger.warning('The prefix is not set in metric class IoUMetric.')
        logger.warning('The prefix is not set in metric class Mine.')
        logger.info('Epoch(train) [1][2/2] eta: 0:00:01')
        logger.error('Exp name: b')
    print('loading annotations into memory...')
    print('Done (t=0.1s)')
    print('mine')
    print_log('Could not import OneDL', level=logging.DEBUG)


def test_verbose_shows_all():
    parser = argparse.ArgumentParser()
    screen.add_verbose_option(parser)
    with new_screen() as shown:
        assert vars(parser.parse_args(['--verbose'])) == {}
        screen.use_screen()
        assert sys.stdout is shown


def test_listed_warnings_stay_off_and_others_do_not():
    with new_screen():
        screen.use_screen()
        warnings.warn('The draw is False, it means that the hook', stacklevel=1)
        with pytest.raises(UserWarning, match='not listed'):
            warnings.warn('not listed', stacklevel=1)
