"""Runs the whole chain for a config, and leaves one page about it: report.html in the work dir.

Trains, tests every form, exports to ONNX, quantizes to 8 bits, tests both files, measures speed and
draws some test images. What is done is not repeated with --resume. The page needs no other file.
"""

import argparse
from pathlib import Path

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)
from repnext_mm.border import tell_progress
from repnext_mm.evaluation.benchmark.machine import describe_machine
from repnext_mm.experiments.chain import (
    PICTURES_SHOWN,
    SKIPPABLE,
    SpeedPlan,
    plan_chain,
    run_chain,
)
from repnext_mm.experiments.commands import Launcher
from repnext_mm.experiments.page import write_run_page
from repnext_mm.experiments.results import Results
from repnext_mm.experiments.tables import failure_lines
from repnext_mm.files import check_place, replaced, write_text
from repnext_mm.launch.command_line import (
    REASONS,
    add_own_data_options,
    build_parser,
    check_own_data_options,
    load_config,
    write_reasons,
)
from repnext_mm.launch.sole_use import sole_use
from repnext_mm.places import named_config, shipped


def parse_args() -> argparse.Namespace:
    parser = build_parser(__doc__)
    add_own_data_options(parser)
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on with what the work dir has, from where it ended',
    )
    parser.add_argument(
        '--skip', nargs='+', choices=SKIPPABLE, default=[], metavar='STEP', help=f'of {SKIPPABLE}'
    )
    parser.add_argument('--rounds', type=int, default=10, help='how often to time each form')
    parser.add_argument('--images', type=int, default=16, help='test images of a round')
    args = parser.parse_args()
    check_own_data_options(parser, args)
    if args.launcher != 'none':
        parser.error(
            'the chain takes one process: train with --launcher, then use the other commands'
        )
    if min(args.rounds, args.images) < 1:
        parser.error('--rounds and --images must be positive')
    return args


def settled_config(args: argparse.Namespace, work_dir: Path) -> str:
    """The config of the chain: that of the command line, or one filled in for own data.

    The latter is written into the work dir, with the reasons for its settings beside it.
    """
    if not args.data:
        return named_config(args.config)
    args.work_dir = str(work_dir)
    cfg = load_config(args)
    write_reasons(cfg, args)
    path = work_dir / Path(args.config).name
    with replaced(path) as draft:
        cfg.dump(draft)
    args.cfg_options, args.backbone = {}, None
    return str(path)


def main() -> int:
    args = parse_args()
    work_dir = Path(args.work_dir or Path('work_dirs', 'run', Path(args.config).stem))
    with sole_use(work_dir):
        return run_in(work_dir, args)


def run_in(work_dir: Path, args: argparse.Namespace) -> int:
    """Runs the chain in a folder; returns the exit status."""
    path = work_dir / 'results.json'
    if path.is_file() and not args.resume:
        raise FileExistsError(
            f'{path} is there already: --resume goes on with it, or name another --work-dir'
        )
    check_place(path)
    config = settled_config(args, work_dir)
    experiment = plan_chain(config, args.cfg_options or {}, args.backbone, args.skip)
    timing = SpeedPlan(args.rounds, args.images)
    launcher = Launcher(shipped('tools'))
    results = run_chain(experiment, work_dir, launcher, args.skip, timing, tell_progress)
    results.data['machine'] = describe_machine()
    results.write()
    page = write_page_of(results, work_dir)
    failures = failure_lines(results.data)
    for line in failures:
        tell_progress(line)
    tell_progress(f'Written to {page}')
    return 1 if failures else 0


def write_page_of(results: Results, work_dir: Path) -> Path:
    """Writes the page, and returns its path."""
    reasons = work_dir / REASONS
    chosen = reasons.read_text(encoding='utf-8').splitlines() if reasons.is_file() else []
    path = work_dir / 'report.html'
    write_text(path, write_run_page(results.data, work_dir, chosen, PICTURES_SHOWN))
    return path
