"""Lists the configs that come with RepNeXt-MM, under the names that every command takes.

A config of your own, wherever it lies, inherits from one of them with _base_ = 'repnext_mm::NAME.py'.
"""

import argparse

from repnext_mm.border import ToolParser
from repnext_mm.places import config_names, shipped


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument(
        'pattern', nargs='?', default='*', help="such as 'own/*' or mask_rcnn; default: all"
    )
    parser.add_argument('--paths', action='store_true', help='print whole paths')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    names = config_names(args.pattern)
    folder = shipped('configs')
    for name in names:
        print(folder / f'{name}.py' if args.paths else name)
    if not names:
        raise LookupError(f'no config has {args.pattern!r} in its name; all lie in {folder}')
    return 0
