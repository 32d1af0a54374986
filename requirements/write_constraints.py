"""Writes the versions of all that is installed, as a file for ``pip install -c``.

Run by ``make constraints`` with the Python of each environment that ``make`` makes.
"""

import argparse
import importlib.metadata
import platform
import re
from pathlib import Path

LEFT_OUT = {'pip', 'repnext-mm'}
"""The installer, and what is constrained."""


def constraints() -> str:
    """A line for each distribution of this environment, in alphabetical order."""
    found = {
        re.sub(r'[-_.]+', '-', distribution.metadata['Name']).lower(): distribution.version
        for distribution in importlib.metadata.distributions()
    }
    version = '.'.join(platform.python_version_tuple()[:2])
    lines = [
        f'# The tested versions of everything, on Python {version}; written by make constraints.'
    ]
    lines += [f'{name}=={found[name]}' for name in sorted(found.keys() - LEFT_OUT)]
    return '\n'.join(lines) + '\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('output', type=Path)
    parser.parse_args().output.write_text(constraints(), encoding='utf-8')


if __name__ == '__main__':
    main()
