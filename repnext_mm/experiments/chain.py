"""The whole chain for one config: an experiment of one row, whose folders lie in the work dir itself."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.registry import init_default_scope

from repnext_mm.compat import require_extra
from repnext_mm.experiments.checks import CheckedRow, check_rows
from repnext_mm.experiments.commands import Launcher
from repnext_mm.experiments.results import Results
from repnext_mm.experiments.running import (
    EXPORT,
    FILES,
    PICTURES,
    QUANTIZE,
    TEST,
    TRAIN,
    SeedRun,
    check_unchanged,
    keep_row,
    last_checkpoint,
    run_steps,
)
from repnext_mm.experiments.specification import EXPORTED_KINDS, Column, Experiment, ExperimentRow
from repnext_mm.experiments.speed import measure_speed
from repnext_mm.export.data import read_test_data
from repnext_mm.export.tasks import TASKS
from repnext_mm.launch.command_line import config_of

SPEED = 'speed'
SKIPPABLE = (TEST.strip(), EXPORT, QUANTIZE, SPEED, PICTURES)
"""Steps that nothing else needs, but that quantizing takes an exported file."""

CHAIN_SEED = 0
PICTURES_SHOWN = 6


class SpeedPlan(NamedTuple):
    """How speed is measured."""

    rounds: int = 10
    images: int = 16


def plan_chain(
    config: str, options: dict, backbone: str | None, skipped: Sequence[str]
) -> Experiment:
    """An experiment of one row, with every form and file that is not skipped.

    Args:
        config: Path of the config.
        options: Changes to it, by dotted keys.
        backbone: Another one for its recipe; None for its own.
        skipped: Of :data:`SKIPPABLE`.

    Raises:
        ImportError: If a package is missing that exporting or quantizing needs.
    """
    files = () if EXPORT in skipped else EXPORTED_KINDS[: 1 if QUANTIZE in skipped else 2]
    if files:
        for package in ('onnx', 'onnxruntime'):
            require_extra(package, 'onnx', f'the step {EXPORT!r}, which can be skipped,')
    cfg = config_of(config, options, backbone=backbone)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    height, width = read_test_data(cfg, keeps_positions=False, count=0).usual_shape()
    name = Path(config).stem
    metrics = dict.fromkeys(metric for task in TASKS for metric in task.metrics)
    return Experiment(
        name=name,
        title=name,
        columns=[Column('model', 'name'), *(Column(metric, metric) for metric in metrics)],
        rows=[ExperimentRow(name, config, options, backbone=backbone)],
        shape=(height, width),
        seeds=(CHAIN_SEED,),
        files=files,
        pictures=0 if PICTURES in skipped else PICTURES_SHOWN,
    )


def run_chain(
    experiment: Experiment,
    work_dir: Path,
    launcher: Launcher,
    skipped: Sequence[str],
    timing: SpeedPlan,
    say: Callable[[str], None],
) -> Results:
    """Runs what is not done yet, up to the first step that fails, and measures what there is.

    Args:
        experiment: Of :func:`plan_chain`.
        work_dir: For ``results.json``, exported files, and a folder for each step.
        launcher: For the processes.
        skipped: Of :data:`SKIPPABLE`.
        timing: Rounds and images of the step ``speed``.
        say: Called with lines of progress.

    Raises:
        FileNotFoundError, ImportError, ValueError: As
            :func:`~repnext_mm.experiments.checks.check_rows`, before anything slow; a ``ValueError``
            too if the work dir has results of another config.
    """
    results = Results(work_dir / 'results.json', experiment)
    ((name, checked),) = check_rows(experiment, list(experiment.rows)).items()
    check_unchanged(checked, results)
    keep_row(checked, results)
    run = SeedRun(experiment, checked, CHAIN_SEED, work_dir, launcher, say, skipped)
    run_steps(run, results)
    checkpoint = last_checkpoint(work_dir)
    wanted = SPEED not in skipped and results.is_done(name, CHAIN_SEED, TRAIN)
    if checkpoint and wanted and _unmeasured(checked, results, work_dir):
        say('measuring speed, all forms and files in turn')
        trained = {name: (checked, checkpoint)}
        measure_speed(experiment, trained, results, timing.rounds, timing.images, say)
    return results


def _unmeasured(checked: CheckedRow, results: Results, work_dir: Path) -> set[str]:
    """Forms and files whose speed is not known yet."""
    files = {kind for kind, name in FILES.items() if (work_dir / name).is_file()}
    return {*checked.forms, *files} - set(results.row(checked.row.name)['speed'])
