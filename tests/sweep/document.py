"""The section of docs/existing_projects.md that the sweep's files are shown in."""

import json
from pathlib import Path

from repnext_mm.files import write_text
from sweep.results import failures, read_records, totals

DOCS = Path(__file__).resolve().parents[2] / 'docs'
PAGE = DOCS / 'existing_projects.md'
FILES = {'OneDL': DOCS / 'methods_onedl.json', 'OpenMMLab': DOCS / 'methods_openmmlab.json'}
"""Results by the distribution they are of."""

BEGIN, END = '<!-- begin: tests/sweep -->', '<!-- end: tests/sweep -->'


def section() -> str:
    """The tables of all files that there are."""
    parts = []
    for title, path in FILES.items():
        if path.is_file():
            records, packages = read_records(path), json.loads(path.read_text())['packages']
            versions = ', '.join(f'{name} {number}' for name, number in packages.items())
            parts.append(f'**{title}**, {len(records)} methods ({versions}):')
            parts.append('\n'.join(totals(records)))
            parts.append('\n'.join(failures(records)))
    return '\n\n'.join(parts)


def page(text: str) -> str:
    """The page with the current tables in their place.

    Args:
        text: The page as it is.
    """
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f'{before}{BEGIN}\n\n{section()}\n\n{END}{after}'


def write_page() -> None:
    """Writes the tables into the page."""
    write_text(PAGE, page(PAGE.read_text(encoding='utf-8')))
