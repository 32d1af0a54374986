"""Runs a script of another project with torchvision's operators in mmcv's place.

``python -m repnext_mm SCRIPT [arguments]`` is ``python SCRIPT [arguments]`` after
``import repnext_mm``. Scripts need that which import mmcv's operators before they read
a config with ``custom_imports``, such as mmdet's ``tools/test.py``. Checkpoints and YAML files
can run no code in it; for files that you trust, ``TORCH_FORCE_WEIGHTS_ONLY_LOAD=0`` in the
environment lets checkpoints do so.
"""

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from repnext_mm.installation import install


def main() -> None:
    """Takes the script, and nothing else, from the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m repnext_mm',
        usage='%(prog)s SCRIPT [arguments of the script]',
        description=__doc__,
    )
    parser.add_argument('script', metavar='SCRIPT', help='Python file of another project')
    script = parser.parse_args(sys.argv[1:2]).script
    if not Path(script).is_file():
        parser.error(f'there is no script {script!r}: give the path of a Python file')
    run_script(script, sys.argv[2:])


def run_script(script: str, arguments: Sequence[str]) -> None:
    """Runs a Python file as ``__main__``, with ``sys.argv`` and ``sys.path`` as Python sets them."""
    install(safe_loading=True)
    sys.argv = [script, *arguments]
    if not getattr(sys.flags, 'safe_path', False):
        sys.path[0] = str(Path(script).resolve().parent)
    runpy.run_path(script, run_name='__main__')


if __name__ == '__main__':
    main()
