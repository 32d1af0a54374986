"""Each kind of fault once in each tool: ``pytest -m slow tests/faults``."""

import random

import pytest

from faults.jobs import JOBS
from faults.trial import KINDS, Site, run_trial

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings('ignore')]


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> Site:
    random.seed(0)
    return Site(tmp_path_factory.mktemp('faults'))


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('job', JOBS, ids=lambda job: job.name)
def test_nothing_half_written_is_taken_for_whole(site, job, kind):
    run_trial(site, job, kind)
