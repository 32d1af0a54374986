"""Fills a table: trains, tests and measures the rows of an experiment, one after the other.

Drives tools/train.py, test.py, export.py and quantize.py as processes. Writes results.json, after
each step what there is, and table.md, .csv and .png to the work dir. What is done is not repeated.
"""

import argparse
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)
from repnext_mm.border import ToolParser, tell_progress
from repnext_mm.evaluation.benchmark.machine import describe_machine
from repnext_mm.experiments.checks import check_rows
from repnext_mm.experiments.commands import LAUNCHERS, Launcher
from repnext_mm.experiments.report import write_report
from repnext_mm.experiments.results import Results
from repnext_mm.experiments.running import run_rows, trained_checkpoint
from repnext_mm.experiments.specification import Experiment, ExperimentRow, read_experiment
from repnext_mm.experiments.speed import measure_speed
from repnext_mm.experiments.tables import failure_lines, main_table
from repnext_mm.launch.sole_use import sole_use
from repnext_mm.places import named_config, shipped
from repnext_mm.timing import format_table


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('experiment', type=Path, help='a file of configs/experiments')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/experiments/NAME')
    parser.add_argument('--rows', nargs='+', metavar='NAME', help='default: all')
    parser.add_argument('--seeds', nargs='+', type=int, help='default: those of the experiment')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on with what the work dir has, from where it ended',
    )
    parser.add_argument(
        '--no-files', action='store_true', help='leave exported files for a later --resume'
    )
    stages = parser.add_mutually_exclusive_group()
    stages.add_argument('--no-speed', action='store_true', help='do not measure speed')
    stages.add_argument(
        '--speed-only', action='store_true', help='measure the speed of what is trained, all anew'
    )
    stages.add_argument(
        '--report-only', action='store_true', help='write the tables of the results that are there'
    )
    parser.add_argument('--rounds', type=int, default=10, help='how often to time each row')
    parser.add_argument('--images', type=int, default=16, help='test images of a round')
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none')
    parser.add_argument('--processes', type=int, help='for --launcher pytorch')
    parser.add_argument(
        '--partition', help='for --launcher slurm; GPUS and others as slurm_train.sh'
    )
    args = parser.parse_args()
    if min(args.rounds, args.images) < 1:
        parser.error('--rounds and --images must be positive')
    return args


def main() -> int:
    args = parse_args()
    launcher = Launcher(shipped('tools'), args.launcher, args.processes, args.partition)
    experiment = read_experiment(Path(named_config(str(args.experiment))))
    rows = experiment.choose(args.rows)
    if not args.report_only and not any(row.config for row in rows):
        raise ValueError(
            f'{args.experiment}: none of the rows {", ".join(row.name for row in rows)} has a config, '
            'so there is nothing to run: --report-only shows what was published'
        )
    work_dir = args.work_dir or Path('work_dirs', 'experiments', experiment.name)
    # Tables of what is there may be written while it grows.
    with nullcontext() if args.report_only else sole_use(work_dir):
        return fill_table(experiment, rows, work_dir, launcher, args)


def fill_table(
    experiment: Experiment,
    rows: list[ExperimentRow],
    work_dir: Path,
    launcher: Launcher,
    args: argparse.Namespace,
) -> int:
    """Runs what the options ask for and writes the tables; returns the exit status."""
    path = work_dir / 'results.json'
    continues = args.resume or args.speed_only or args.report_only
    if path.is_file() and not continues:
        raise FileExistsError(
            f'{path} is there already: --resume goes on with it, or name another --work-dir'
        )
    results = Results(path, experiment)
    if not args.report_only:
        tell_progress(f'Checking {len(rows)} rows of {experiment.title}')
        checked = check_rows(experiment, rows)
        if not args.speed_only:
            results.data['machine'] = describe_machine()
            trained_only = replace(experiment, files=()) if args.no_files else experiment
            run_rows(trained_only, checked, results, work_dir, launcher, tell_progress, args.seeds)
        if not args.no_speed:
            paths = {n: trained_checkpoint(experiment, row, work_dir) for n, row in checked.items()}
            trained = {n: (checked[n], found) for n, found in paths.items() if found}
            measure_speed(experiment, trained, results, args.rounds, args.images, tell_progress)
    written = write_report(results.data, work_dir)
    tell_progress(f'\n{format_table(main_table(results.data))}\n')
    tell_progress(f'Written to {path}, {", ".join(map(str, written))}')
    failures = failure_lines(results.data)
    for line in failures:
        tell_progress(line)
    return 1 if failures else 0
