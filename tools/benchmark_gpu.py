"""Checks and measures everything that only a GPU can tell, in one call of less than ten minutes.

Needs no network and no data. Writes gpu.json, gpu.md and gpu.png to the work dir, after each
round what there is. On a CPU, --device cpu with small sizes is a rehearsal.
"""

import argparse
import signal
from pathlib import Path

import repnext_mm.registry  # noqa: F401 (says so if mmengine is missing)

# isort: split
from repnext_mm.border import ToolParser, run_tool
from repnext_mm.evaluation.benchmark.cases import DTYPES, parse_shape
from repnext_mm.evaluation.benchmark.gpu import CONFIGS, Plan, run_on_gpu

FOLDER = Path(__file__).resolve().parents[1] / 'configs'
GRACE = 60
"""Seconds after the budget, for a compiler that is at work, after which the process ends."""


def parse_args() -> argparse.Namespace:
    default = Plan()
    parser = ToolParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/benchmark_gpu'))
    parser.add_argument('--device', default=default.device)
    parser.add_argument('--budget', type=float, default=default.budget, help='seconds')
    parser.add_argument('--rounds', type=int, default=default.rounds)
    parser.add_argument(
        '--shapes', nargs='+', type=parse_shape, default=default.shapes, metavar='HxW'
    )
    parser.add_argument('--batches', nargs='+', type=int, default=default.batches)
    parser.add_argument('--dtypes', nargs='+', choices=DTYPES, default=default.dtypes)
    parser.add_argument('--no-compile', action='store_true', help='leave torch.compile out')
    parser.add_argument('--networks', type=int, default=len(CONFIGS), help='the first so many')
    return parser.parse_args()


class BudgetExceededError(BaseException):
    """Ends whatever runs; no row that fails may catch it."""


def end(*_: object) -> None:
    raise BudgetExceededError


def main() -> int:
    args = parse_args()
    plan = Plan(
        device=args.device,
        budget=args.budget,
        shapes=args.shapes,
        batches=args.batches,
        dtypes=args.dtypes,
        compilers=() if args.no_compile else Plan().compilers,
        rounds=args.rounds,
    )
    path = args.work_dir / 'gpu'
    if hasattr(signal, 'alarm'):
        signal.signal(signal.SIGALRM, end)
        signal.alarm(int(args.budget) + GRACE)
    try:
        report = run_on_gpu(plan, FOLDER, path, lambda text: print(text, flush=True), args.networks)
    except BudgetExceededError:
        print(f'The time is up; what there is stands in {path}.md', flush=True)
        return 0
    finally:
        if hasattr(signal, 'alarm'):
            signal.alarm(0)
    print(report.as_markdown())
    print(f'Written to {path}.json, .md and .png')
    return 1 if report.failures else 0


if __name__ == '__main__':
    run_tool(main)
