"""One fault in one tool, and what has to hold afterwards."""

import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from faults.injection import LIMITS, STRIKES, Process, make_hole
from faults.jobs import Job
from faults.place import Place, prepare
from faults.results import check_whole, content_of, digest, same
from repnext_mm.files import DRAFT
from repnext_mm.launch.sole_use import LOCK, OWNER

KINDS = (*STRIKES, 'full', 'two at once', 'hole', 'read-only')


class Site:
    """A folder with inputs, and the results of every tool that was left alone.

    Args:
        folder: An empty one.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.place = prepare(folder)
        self.inputs = {path: digest(path) for path in self.place if path.is_file()}
        self.references: dict[str, dict[str, Any]] = {}
        self.seconds: dict[str, float] = {}

    def start(self, job: Job, results: Path, place: Place, limit: int | None = None) -> Process:
        """Starts a tool, with results in a folder."""
        arguments = [str(argument) for argument in job.arguments(place, results)]
        output = self.folder / f'{results.name}_{time.monotonic_ns()}.log'
        return Process(job.tool, arguments, output, limit, SHAPES_ROOT=self.place.data)

    def reference(self, job: Job) -> dict[str, Any]:
        """The results of a run without a fault, which is done once."""
        if job.name not in self.references:
            results = self.results()
            process = self.start(job, results, self.place)
            status = process.wait()
            assert status == 0, process.output.read_text()[-3000:]
            self.seconds[job.name] = time.monotonic() - process.begin
            self.references[job.name] = contents(job, results)
            shutil.rmtree(results)
        return self.references[job.name]

    def results(self) -> Path:
        """A new folder for results."""
        path = self.folder / f'results_{time.monotonic_ns()}'
        path.mkdir()
        return path

    def check_inputs(self) -> None:
        """Makes sure that no input has changed."""
        assert {path: digest(path) for path in self.inputs} == self.inputs


def contents(job: Job, results: Path) -> dict[str, Any]:
    """What the results of a job hold, by name."""
    return {name: content_of(results / name) for name in job.results}


def run_trial(site: Site, job: Job, kind: str) -> str:
    """Lets a fault happen, and checks what is left.

    Returns:
        How it ended: exit status and number of results that were there.

    Raises:
        AssertionError: If something half-written stands under a final name, an input has changed,
            or doing it again does not give what an undisturbed run gives.
    """
    reference = site.reference(job)
    results, place = site.results(), site.place
    if kind == 'hole':
        return damaged_input(site, job, results)
    if kind == 'read-only':
        return read_only(site, job, results)
    moment = random.uniform(0, 1.1 * site.seconds[job.name])
    limit = random.choice(LIMITS) if kind == 'full' else None
    processes = [site.start(job, results, place, limit) for _ in range(1 + (kind == 'two at once'))]
    if kind in STRIKES:
        processes[0].strike_after(moment, STRIKES[kind], results)
    statuses = [process.wait() for process in processes]
    texts = [process.output.read_text(errors='replace') for process in processes]
    check_ending(kind, statuses, texts)
    if kind == 'two at once' and job.alone:
        check_refusal(results, statuses, texts)
    finished = check_results(job, results, reference, statuses, demanded=kind != 'removed')
    site.check_inputs()
    if job.makes:  # tools that make a folder leave one alone that is there
        shutil.rmtree(results / job.makes, ignore_errors=True)
    again = site.start(job, results, place)
    assert again.wait() == 0, again.output.read_text()[-3000:]
    check_results(job, results, reference, [0], demanded=True)
    left = [f'{DRAFT}*'] if job.name == 'train' else []  # which removes those of others
    left += [LOCK, OWNER] if job.alone else []
    assert [path for name in left for path in results.rglob(name)] == [], 'left after --resume'
    shutil.rmtree(results)
    return f'{statuses}, {finished} whole'


def check_ending(kind: str, statuses: list[int], texts: list[str]) -> None:
    """The exit status is that of the fault, and the last words are no nonsense."""
    allowed = {
        'kill': {0, 1, -signal.SIGKILL},
        'term': {0, 1, -signal.SIGTERM, 128 + signal.SIGTERM},
        'ctrl-c': {0, 1, 130},
    }.get(kind, {0, 1, 2})
    assert set(statuses) <= allowed, (statuses, texts)
    if kind == 'ctrl-c' and 130 in statuses:
        assert 'KeyboardInterrupt: stopped by Ctrl-C' in texts[0], texts[0][-2000:]


def check_refusal(results: Path, statuses: list[int], texts: list[str]) -> None:
    """One of two had the folder, and the other has said so and ended."""
    assert sorted(statuses) == [0, 1], (statuses, texts)
    said = texts[statuses.index(1)]
    assert f'{results} is in use by' in said and 'Traceback' not in said, said[-2000:]


def check_results(
    job: Job, results: Path, reference: Any, statuses: list[int], demanded: bool
) -> int:
    """Everything under a final name is whole; after status 0 all is there, with the same values.

    Args:
        job: What ran.
        results: The folder.
        reference: What an undisturbed run gives.
        statuses: How the processes ended.
        demanded: Whether what a process has written must still be there.

    Returns:
        The number of files.
    """
    found = [path for path in results.rglob('*') if path.is_file()]
    files = [path for path in found if not hidden(path.relative_to(results))]
    for path in files:
        try:
            check_whole(path)
        except Exception as error:
            raise AssertionError(f'{path} is not whole: {error!r}') from error
    if results.is_dir() and 0 in statuses and all((results / n).is_file() for n in job.results):
        if not job.timed:
            assert same_results(contents(job, results), reference), f'other results in {results}'
    elif demanded and 0 in statuses:
        raise AssertionError(f'status 0, and {job.results} are not all in {results}')
    return len(files)


def hidden(path: Path) -> bool:
    """Whether a file, or a folder that it lies in, has the name of a draft or is hidden."""
    return any(part.startswith('.') for part in path.parts)


def same_results(found: dict[str, Any], reference: dict[str, Any]) -> bool:
    return all(same(reference[name], value) for name, value in found.items())


def damaged_input(site: Site, job: Job, results: Path) -> str:
    """A checkpoint or an archive with a hole is refused, and nothing is written."""
    if not job.reads:
        shutil.rmtree(results)
        return 'reads nothing that has checksums'
    source: Path = getattr(site.place, job.reads)
    damaged = site.folder / f'damaged{"".join(source.suffixes)}'
    shutil.copy(source, damaged)
    make_hole(damaged)
    process = site.start(job, results, site.place._replace(**{job.reads: damaged}))
    status = process.wait()
    text = process.output.read_text(errors='replace')
    assert status in (1, 2), f'a damaged {job.reads} went through: {text[-200:]}'
    assert damaged.name in text and 'Traceback' not in text, text[-2000:]
    assert not [name for name in job.results if (results / name).is_file()]
    shutil.rmtree(results)
    return f'{status}, refused'


def read_only(site: Site, job: Job, results: Path) -> str:
    """A folder that may not be written to ends the tool with one line that names it."""
    if os.geteuid() == 0:
        results.rmdir()
        return 'root writes anywhere'
    results.chmod(0o555)
    process = site.start(job, results, site.place)
    status = process.wait()
    text = process.output.read_text(errors='replace')
    results.chmod(0o755)
    assert status in (1, 2) and not list(results.iterdir()), text[-2000:]
    assert str(results) in text and 'Traceback' not in text, text[-2000:]
    results.rmdir()
    return f'{status}, refused'
