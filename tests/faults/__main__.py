"""Lets faults happen at random moments in every tool, for as long as it is told.

python tests/faults --minutes 20
"""

import argparse
import os
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.jobs import JOBS
from faults.trial import KINDS, Site, run_trial


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=20)
    parser.add_argument('--seed', type=int, default=random.randrange(10**6))
    parser.add_argument('--jobs', nargs='+', choices=[job.name for job in JOBS])
    parser.add_argument('--kinds', nargs='+', choices=KINDS)
    args = parser.parse_args()
    random.seed(args.seed)
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'  # as in the tools: files are data
    warnings.simplefilter('ignore')
    print(f'--seed {args.seed}', flush=True)
    jobs = [job for job in JOBS if not args.jobs or job.name in args.jobs]
    kinds = args.kinds or KINDS
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        start, site = time.monotonic(), Site(Path(folder))
        pairs = [(job, kind) for job in jobs for kind in kinds]
        while time.monotonic() - start < 60 * args.minutes:
            random.shuffle(pairs)
            for job, kind in pairs:
                if time.monotonic() - start > 60 * args.minutes:
                    break
                try:
                    ending = run_trial(site, job, kind)
                except Exception as error:
                    counts['failures'] += 1
                    ending = f'FAILED: {error!r}'
                counts[kind] += 1
                counts[job.name] += 1
                print(f'{job.name:>10} {kind:>12}: {ending}', flush=True)
    print(f'{(time.monotonic() - start) / 60:.1f} minutes: {dict(counts)}')
    return 1 if counts['failures'] else 0


if __name__ == '__main__':
    sys.exit(main())
