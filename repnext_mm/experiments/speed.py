"""Images per second of all rows, measured in turn in one run on the same test images."""

import logging
import tempfile
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

from repnext_mm.evaluation.benchmark.cases import FILE, TORCH, Case, Table
from repnext_mm.evaluation.benchmark.machine import LoadWatch, describe_machine
from repnext_mm.evaluation.benchmark.measure import Limits, Row, measure, preparation
from repnext_mm.evaluation.benchmark.networks import Networks, Run, Source
from repnext_mm.evaluation.benchmark.plans import file_test, first_batches
from repnext_mm.experiments.checks import CheckedRow
from repnext_mm.experiments.results import Results, now
from repnext_mm.experiments.running import FILES
from repnext_mm.experiments.specification import Experiment


def measure_speed(
    experiment: Experiment,
    trained: Mapping[str, tuple[CheckedRow, Path]],
    results: Results,
    rounds: int,
    images: int,
    say: Callable[[str], None],
) -> None:
    """Measures whole models, one image at a time, with post-processing, and keeps the result.

    The data of the first row's config counts for all of them.

    Args:
        experiment: The experiment.
        trained: Rows by name, with the checkpoint of one seed; exported files lie in its folder.
        results: Where the speeds are kept, after each round.
        rounds: How often to time each.
        images: Test images of each round.
        say: Called with lines of progress.

    Raises:
        ValueError: If there is no row.
    """
    if not trained:
        raise ValueError('no row is trained yet, so there is nothing to measure: train first')
    networks = Networks({name: Source(row.cfg, str(path)) for name, (row, path) in trained.items()})
    owners = _cases(experiment, trained)
    table = Table(experiment.title, tuple(owners))
    first_row, _ = next(iter(trained.values()))
    batches, count = _single_images(first_row.cfg, images)
    watch = LoadWatch()
    with tempfile.TemporaryDirectory() as folder:
        runs = {case: _prepared(networks, case, Path(folder)) for case in owners}
        turns = measure(table, runs, Limits(rounds), lambda: (deepcopy(batches),), count)
        for result in turns:
            say(f'speed: round {result.rounds}/{rounds}')
            for row in result.rows:
                name, what = owners[row.case]
                results.row(name)['speed'][what] = _record(row)
            results.data['speed'] = dict(
                date=now(),
                machine=describe_machine(),
                rounds=result.rounds,
                images=count,
                warnings=[*watch.warnings(), *result.warnings],
            )
            results.write()


def _cases(
    experiment: Experiment, trained: Mapping[str, tuple[CheckedRow, Path]]
) -> dict[Case, tuple[str, str]]:
    """What is measured, with the row and the form or file that it is."""
    owners = {}
    for name, (row, checkpoint) in trained.items():
        for form in row.forms:
            case = Case(network=name, form=form, runtime=TORCH, part='model', shape=None)
            owners[case] = (name, form)
        for kind in experiment.files:
            path = checkpoint.parents[1] / FILES[kind]
            if path.is_file():
                case = Case(network=str(path), runtime=FILE, part='model', shape=None)
                owners[case] = (name, kind)
    return owners


def _prepared(networks: Networks, case: Case, folder: Path) -> Callable[[], Run]:
    return file_test(case.network) if case.runtime == FILE else preparation(networks, case, folder)


def _single_images(cfg: Config, images: int) -> tuple[list[dict], int]:
    """Test images as batches of one, and their number."""
    cfg = cfg.copy()
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    cfg.test_dataloader.update(batch_size=1, num_workers=0, persistent_workers=False)
    return first_batches(cfg, images)


def _record(row: Row) -> dict[str, Any]:
    """What was found for a form or file, JSON-able."""
    if row.timing is None:
        print_log(f'{row.case.network}: no speed, {row.failure}', 'current', logging.WARNING)
        return dict(failure=row.failure)
    slow, fast = row.timing.spread_per_second(row.images)
    middle = row.timing.per_second(row.images)
    return dict(images_per_second=middle, spread=[slow, fast])
