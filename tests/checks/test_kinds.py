"""Every kind of finding is documented, and every documented one is found somewhere."""

import re
from pathlib import Path

from repnext_mm.checks.kinds import CHECKPOINT_KINDS, KINDS, RUN_KINDS

ROOT = Path(__file__).parents[2]
FOUND = re.compile(r"Finding\(\s*(?:[^,()]|\([^()]*\))+,\s*'([\w-]+)'")


def test_every_kind_is_found_by_the_code_and_the_other_way_round():
    files = (ROOT / 'repnext_mm' / 'checks').rglob('*.py')
    texts = ''.join(path.read_text() for path in files if path.name != 'kinds.py')
    unlisted = set(FOUND.findall(texts)) - set(KINDS)
    assert unlisted == set()
    assert [kind for kind in KINDS if f"'{kind}'" not in texts] == []


def test_the_document_lists_every_kind_with_its_level():
    rows = re.findall(
        r'^\| `([\w-]+)` \| ([\w ]+) \| (.*) \|$', (ROOT / 'docs/checks.md').read_text(), re.M
    )
    assert [(name, level, text) for name, level, text in rows] == [
        (name, *kind) for name, kind in KINDS.items()
    ]


def test_every_kind_of_data_has_a_test():
    texts = ''.join(path.read_text() for path in Path(__file__).parent.glob('test_*.py'))
    kinds = KINDS.keys() - RUN_KINDS.keys() - CHECKPOINT_KINDS.keys()  # tested by function
    assert {kind for kind in kinds if f"'{kind}'" not in texts} == set()
