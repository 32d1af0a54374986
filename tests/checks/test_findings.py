"""Findings: warnings are logged, errors end the run with all of them."""

import logging

import pytest
from mmengine.logging import MMLogger

from repnext_mm.checks.findings import ChecksFailedError, Finding, report


def finding(level: str, message: str) -> Finding:
    return Finding(level, 'some-kind', 'some.json', message, 'Mend it')


def test_warnings_are_logged_once_each(caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.WARNING):
            report([finding('warning', 'the first'), finding('warning', 'the first')])
    finally:
        logger.removeHandler(caplog.handler)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ['some.json: the first. Mend it [some-kind]']


def test_errors_are_raised_together():
    with pytest.raises(ChecksFailedError, match='2 problem') as raised:
        report([finding('error', 'one'), finding('error', 'another')])
    assert [error.message for error in raised.value.findings] == ['one', 'another']
    assert 'some.json: another. Mend it' in str(raised.value)


def test_nothing_found_says_nothing():
    report([])
