"""One call before training and testing: errors end it, warnings do not, kinds can be skipped."""

import pytest
from own_data import detector, write_coco

from repnext_mm.checks import run
from repnext_mm.checks.findings import ChecksFailedError
from repnext_mm.checks.run import check_run

WRONG = ('washer', 'screw', 'nut')


@pytest.fixture
def root(tmp_path):
    for split in ('train', 'val'):
        write_coco(tmp_path, split)
    return tmp_path


def test_errors_end_the_run_before_anything_slow(root):
    with pytest.raises(ChecksFailedError, match=r'train\.json.*order-of-classes') as raised:
        check_run(detector(root, WRONG), 'train', 'val')
    assert {finding.kind for finding in raised.value.findings} == {'order-of-classes'}
    check_run(detector(root), 'train', 'val')


@pytest.mark.parametrize('skip', [['order-of-classes'], 'order-of-classes', ['all']])
def test_kinds_can_be_skipped(skip, root):
    check_run(detector(root, WRONG, checks=dict(skip=skip)), 'train', 'val')


def test_kinds_to_skip_must_be_there(root):
    with pytest.raises(ValueError, match=r"'ordre'.*order-of-classes"):
        check_run(detector(root, checks=dict(skip=['ordre'])), 'train')


def test_one_process_of_several_checks(root, monkeypatch):
    monkeypatch.setenv('RANK', '1')
    check_run(detector(root, WRONG, launcher='pytorch'), 'train')
    monkeypatch.setenv('RANK', '0')
    with pytest.raises(ChecksFailedError):
        check_run(detector(root, WRONG, launcher='pytorch'), 'train')


def test_a_check_that_breaks_does_not_end_the_run(root, monkeypatch):
    said: list = []
    monkeypatch.setattr(run, 'report', said.extend)
    monkeypatch.setattr(run, 'find_in_data', broken)
    check_run(detector(root), 'train')
    assert [finding.kind for finding in said] == ['unchecked'] and 'of all' in said[0].message


def broken(cfg, splits):
    raise KeyError('of all things')
