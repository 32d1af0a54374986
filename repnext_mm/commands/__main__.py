"""RepNeXt for OpenMMLab on the command line: from data to a trained, exported and quantized network."""

import argparse
import importlib
import sys
from difflib import get_close_matches
from typing import NoReturn

import repnext_mm
from repnext_mm.border import PROGRAM, run_tool
from repnext_mm.commands.table import COMMANDS, TOOLS


def build_overview() -> argparse.ArgumentParser:
    """The parser of all that stands in front of a command's own arguments."""
    width = max(map(len, COMMANDS))
    lines = [f'  {name:{width}}  {command.help}' for name, command in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage='%(prog)s COMMAND [arguments]',
        description=__doc__,
        epilog='\n'.join(['commands:', *lines, '', f'{PROGRAM} COMMAND --help says more.']),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'%(prog)s {repnext_mm.__version__}')
    parser.add_argument('command', metavar='COMMAND', help='one of those below')
    return parser


def name_of_command(given: str, parser: argparse.ArgumentParser) -> str:
    """The name in the table; ends the program with the closest ones if there is none."""
    name = TOOLS.get(given.removesuffix('.py').replace('-', '_'), given)
    if name not in COMMANDS:
        close = get_close_matches(given, {*COMMANDS, *TOOLS}, n=3)
        advice = (
            f'did you mean {" or ".join(close)}?' if close else f'choose from {", ".join(COMMANDS)}'
        )
        parser.error(f'there is no command {given!r}: {advice}')
    return name


def run_command() -> int | None:
    """Imports the command of ``sys.argv`` and runs it; returns its exit status."""
    parser = build_overview()
    name = name_of_command(parser.parse_args(sys.argv[1:2]).command, parser)
    command = COMMANDS[name]
    # The usage lines of the command begin with this.
    sys.argv[:2] = [f'{PROGRAM} {name}']
    if not command.is_light:
        importlib.reload(repnext_mm)  # which was imported light, before the command was known
    return getattr(importlib.import_module(command.module), command.function)()


def main() -> NoReturn:
    """Runs ``repnext-mm`` and ends the process."""
    run_tool(run_command)


if __name__ == '__main__':
    main()
