"""Tries our backbone in one representative of every method family of mmdet and mmseg.

python tests/sweep --output sweep.json
"""

import argparse
import sys
import warnings
from fnmatch import fnmatch
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[0] = str(TESTS)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--output', type=Path, default=Path('sweep.json'), help='JSON file')
    parser.add_argument('--only', nargs='*', default=['*'], help="such as 'mmdet/*detr*'")
    parser.add_argument('--steps', nargs='*', help='of: build train predict merge export')
    parser.add_argument('--limit', type=float, default=600, help='seconds for a method')
    parser.add_argument('--jobs', type=int, default=1, help='methods at a time')
    parser.add_argument('--again', action='store_true', help='also what the file has already')
    parser.add_argument('--page', action='store_true', help='write the tables into the document')
    parser.add_argument('--show', action='store_true', help='print the tables of the file alone')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    warnings.simplefilter('ignore')
    import torch

    import repnext_mm  # noqa: F401 (offers the operators)
    from sweep.document import write_page
    from sweep.methods import METHODS
    from sweep.results import (
        by_method,
        failures,
        read_records,
        steps_in,
        totals,
        write_records,
    )
    from sweep.running import run_all
    from sweep.steps import STEPS, WORKS, examine

    torch.set_num_threads(1)
    steps = tuple(step for step in STEPS if step in (args.steps or STEPS[:-1]))
    records = read_records(args.output)
    chosen = [
        method
        for name, method in METHODS.items()
        if any(fnmatch(name, pattern) for pattern in args.only)
        and (args.again or not set(steps) <= set(records.get(name, {})))
    ]
    if not args.show:
        import mmdet.models  # noqa: F401 (once, for all copies of this process)
        import mmseg.models  # noqa: F401
        import onnxruntime  # noqa: F401

        import sweep.exporting  # noqa: F401

        for method, record in run_all(chosen, steps, args.limit, args.jobs, examine):
            name = f'{method.package}/{method.name}'
            earlier = records.get(name, {})
            if 'export' in record:
                earlier.pop('compared', None)
            where = {s: p for s, p in earlier.get('where', {}).items() if s not in record}
            records[name] = earlier | record | dict(where=where | record['where'])
            write_records(args.output, records)
            bad = {step: record[step] for step in STEPS if record.get(step, WORKS) != WORKS}
            print(f'{record["seconds"]:6.1f} s  {name}  {bad or WORKS}', flush=True)
    for table in (totals(records), failures(records), by_method(records, steps_in(records))):
        print('\n'.join(['', *table]))
    if args.page:
        write_page()
    return 0


if __name__ == '__main__':
    sys.exit(main())
