"""Pages in two languages: what must be the same in both, section by section."""

import os
import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAIRS = {
    'README.md': 'README_zh-CN.md',
    **{
        path.relative_to(ROOT).as_posix(): f'docs/zh/{path.name}'
        for path in sorted((ROOT / 'docs' / 'tutorials').glob('*.md'))
    },
}
"""English pages and the Chinese ones of the same content."""

FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
HEADING = re.compile(r'^(#+) (.*)$', re.MULTILINE)
LINK = re.compile(r'!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)')
CODE = re.compile(r'`([^`\n]+)`')
NUMBER = re.compile(r'(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)*')
COMMENT = re.compile(r'(?<!\S)# .*$', re.MULTILINE)


class Section(NamedTuple):
    """A heading and what stands below it, up to the next heading."""

    level: int
    blocks: list[tuple[str, str]]
    """Language and content of each code block, without comments."""

    rows: list[list[Counter]]
    """Of tables: the numbers and code of each cell."""

    links: Counter
    """Where links and pictures lead, as paths in the repository, the anchor by its number on the page."""

    code: Counter
    """Code in the text."""

    numbers: Counter
    """Digits in text and comments."""


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')


def headings(text: str) -> list[tuple[int, str]]:
    """Level and text of each, in order; a comment in a code block is none."""
    return [(len(mark), title) for mark, title in HEADING.findall(FENCE.sub('', text))]


def anchors(page: str) -> list[str]:
    """Of a page of the repository."""
    return [slug(title) for _, title in headings((ROOT / page).read_text(encoding='utf-8'))]


def resolve(target: str, page: str, twins: dict[str, str]) -> str:
    """A link as both languages should have it.

    Args:
        target: As it stands on the page.
        page: The page, a path in the repository.
        twins: The English page of each Chinese one.

    Raises:
        ValueError: If the page that it leads to has no such anchor.
    """
    if re.match(r'[a-z]+:', target):
        return target
    path, _, anchor = target.partition('#')
    joined = (PurePosixPath(page).parent / path) if path else PurePosixPath(page)
    file = os.path.normpath(joined).replace(os.sep, '/')
    if not anchor:
        return twins.get(file, file)
    known = anchors(file)
    if anchor not in known:
        raise ValueError(f'{page}: {file} has no heading for #{anchor}, only {", ".join(known)}')
    place = str(known.index(anchor)) if file in {*twins, *twins.values()} else anchor
    return f'{twins.get(file, file)}#{place}'


def sections(text: str, page: str, pairs: dict[str, str] = PAIRS) -> list[Section]:
    """What a translation must keep.

    Args:
        text: The page in Markdown.
        page: Its place in the repository.
        pairs: As :data:`PAIRS`.
    """
    twins = {chinese: english for english, chinese in pairs.items()}
    fences = FENCE.findall(text)
    marked = FENCE.sub('\0', text)
    places = [match.start() for match in HEADING.finditer(marked)] or [0]
    found = []
    for start, end in zip(places, [*places[1:], len(marked)], strict=True):
        part = marked[start:end]
        own = [fences.pop(0) for _ in range(part.count('\0'))]
        comments = ' '.join(' '.join(COMMENT.findall(code)) for _, code in own)
        prose = LINK.sub(lambda match: match[0].rpartition('](')[0], part)
        plain = CODE.sub('', prose)
        rows = [line.split('|')[1:-1] for line in plain.splitlines() if line.startswith('|')]
        found.append(
            Section(
                len(part) - len(part.lstrip('#')),
                [(kind, stripped(code)) for kind, code in own],
                [[Counter(NUMBER.findall(cell)) for cell in row] for row in rows],
                Counter(resolve(target, page, twins) for target in LINK.findall(part)),
                Counter(CODE.findall(prose)),
                Counter(NUMBER.findall(f'{plain} {comments}')),
            )
        )
    return found


def stripped(code: str) -> str:
    """A code block without its comments, which are translated; file names in the first line stay."""
    first, newline, rest = code.partition('\n')
    named = re.fullmatch(r'# [\w/.-]+', first)
    kept = COMMENT.sub('', rest if named else code)
    lines = [line.rstrip() for line in kept.splitlines()]
    return '\n'.join([first, *lines] if named and newline else lines)
