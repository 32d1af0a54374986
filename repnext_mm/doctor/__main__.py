"""Looks at the installed packages, and names for each thing that is wrong the line that mends it.

Ends with status 1 if something is broken. Changes nothing.
"""

import json
from collections.abc import Sequence

from repnext_mm.border import ToolParser, program_name, run_tool
from repnext_mm.doctor.examination import as_json, as_text, examine, works
from repnext_mm.doctor.facts import gather_facts


def run_doctor(arguments: Sequence[str] | None = None) -> int:
    """Takes the options, by default from the command line, and returns the exit status."""
    parser = ToolParser(prog=program_name('python -m repnext_mm.doctor'), description=__doc__)
    parser.add_argument('--json', action='store_true', help='everything as one JSON object')
    args = parser.parse_args(arguments)
    facts = gather_facts()
    findings = examine(facts)
    print(json.dumps(as_json(facts, findings), indent=2) if args.json else as_text(facts, findings))
    return 0 if works(findings) else 1


if __name__ == '__main__':
    run_tool(run_doctor)
