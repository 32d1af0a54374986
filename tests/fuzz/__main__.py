"""Fuzzes for as long as it is told: every property in turn, on new examples each time.

python tests/fuzz --minutes 20
"""

import argparse
import faulthandler
import importlib.util
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def properties() -> Iterator[Callable[[], None]]:
    """The property tests of this folder, as functions of no arguments."""
    for path in sorted(Path(__file__).parent.glob('test_*.py')):
        spec = importlib.util.spec_from_file_location(f'fuzz_{path.stem}', path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found = [value for name, value in vars(module).items() if name.startswith('test_')]
        yield from (value for value in found if hasattr(value, 'hypothesis'))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=20)
    args = parser.parse_args()
    os.environ['REPNEXT_MM_FUZZ'] = 'long'
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'  # as in the tools: files are data
    faulthandler.enable()
    sys.path.insert(0, str(TESTS))
    warnings.simplefilter('ignore')
    import fuzzing

    start, failures = time.monotonic(), 0
    tests = list(properties())
    while time.monotonic() - start < 60 * args.minutes:
        for test in tests:
            try:
                test()
            except Exception as error:
                failures += 1
                print(f'FAILED {test.__name__}: {error!r}\n{getattr(error, "__notes__", "")}')
            if time.monotonic() - start > 60 * args.minutes:
                break
        minutes = (time.monotonic() - start) / 60
        print(f'{minutes:.1f} minutes, {failures} failures, {fuzzing.report()}', flush=True)
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
