"""Writes a folder of static files that runs an exported network in the browser.

Its page looks like that of the service, and asks nobody: pictures stay on the machine of whoever
drops them. Any server of static files can show it. ONNX Runtime Web is packed into the folder; npm
has it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from repnext_mm.border import ToolParser, program_name, run_tool, tell_progress
from repnext_mm.web.onnxruntime_web import GET_IT, PACKAGE, download_package, read_package
from repnext_mm.web.packing import pack


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = ToolParser(prog=program_name('python -m repnext_mm.web'), description=__doc__)
    parser.add_argument('model', type=Path, help='ONNX file of the export tool')
    parser.add_argument('--output', type=Path, required=True, help='folder to write')
    parser.add_argument(
        '--onnxruntime-web',
        type=Path,
        help=f'its archive (from {GET_IT}) or folder; by default node_modules, if it is here',
    )
    parser.add_argument('--download', action='store_true', help='get it now, with npm')
    parser.add_argument('--name', help='what the page calls it; the name of the file')
    args = parser.parse_args(arguments)
    if args.download and args.onnxruntime_web:
        parser.error('--download gets what --onnxruntime-web names already: give one of them')
    return args


def run_packing(arguments: Sequence[str] | None = None) -> int:
    """Writes the folder, and says how to look at it."""
    args = read_arguments(arguments)
    if args.output.exists():  # before anything is downloaded
        raise FileExistsError(f'{args.output} is there already: remove it, or name another folder')
    here = Path('node_modules') / PACKAGE
    if args.download:
        runtime = download_package()
    elif args.onnxruntime_web or here.is_dir():
        runtime = read_package(args.onnxruntime_web or here)
    else:
        raise FileNotFoundError(
            f'{PACKAGE} is not here: {GET_IT} gets it, then name the archive with '
            '--onnxruntime-web; or let --download do both'
        )
    pack(args.model, runtime, args.output, args.name)
    size = sum(file.stat().st_size for file in args.output.rglob('*') if file.is_file())
    tell_progress(
        f'Written to {args.output}: {size / 1e6:.1f} MB. To look at it: python -m http.server '
        f'--bind 127.0.0.1 --directory {args.output}'
    )
    return 0


if __name__ == '__main__':
    run_tool(run_packing)
