"""English and Chinese pages have the same commands, code, tables, numbers, links and anchors."""

import pytest
from languages import PAIRS, ROOT, headings, sections, slug

HAN = range(0x4E00, 0xA000)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding='utf-8')


@pytest.mark.parametrize(('english', 'chinese'), PAIRS.items())
def test_both_languages_say_the_same(english, chinese):
    pages = [sections(read(page), page) for page in (english, chinese)]
    assert [part.level for part in pages[0]] == [part.level for part in pages[1]]
    titles = headings(read(english))
    for (_, title), first, second in zip(titles, *pages, strict=True):
        assert first == second, f'{english}, {title!r}'
    for page in (english, chinese):
        assert len({slug(title) for _, title in headings(read(page))}) == len(titles)


@pytest.mark.parametrize(('english', 'chinese'), PAIRS.items())
def test_each_page_leads_to_the_other_language_and_is_in_its_own(english, chinese):
    for page, mark in zip((english, chinese), ('English | [简体中文](', '| 简体中文'), strict=True):
        assert mark in ''.join(read(page).splitlines()[2:4]), page
    for _, title in headings(read(english)):
        assert not any(ord(letter) in HAN for letter in title)
    for _, title in headings(read(chinese))[1:]:
        assert any(ord(letter) in HAN for letter in title), title


def test_every_page_of_the_chinese_folder_has_an_english_one():
    assert {f'docs/zh/{path.name}' for path in (ROOT / 'docs' / 'zh').glob('*.md')} == {
        page for page in PAIRS.values() if page.startswith('docs/')
    }
    assert len(PAIRS) == 5


PAGE = """# A

Takes 47 minutes ([how](#b)), with `--tile 256`.

```bash
python tools/train.py CONFIG  # two cores, 8 minutes
```

## B

| box AP | 0.476 |
|---|---|
| [more](docs/speed.md) | `fused` |
"""


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('47 minutes', '48 minutes'),
        ('--tile 256', '--tile 128'),
        ('train.py CONFIG', 'train.py CONFIG --amp'),
        ('8 minutes', '9 minutes'),
        ('0.476', '0.475'),
        ('docs/speed.md', 'docs/merging.md'),
        ('`fused`', 'fused'),
        ('## B', '### B'),
        ('| box AP | 0.476 |', '| box AP | | 0.476 |'),
        ('```\n', '```\n\n```bash\nmake docs\n```\n'),
    ],
)
def test_what_drifts_apart_is_seen(old, new, monkeypatch):
    assert old in PAGE
    monkeypatch.setattr('languages.anchors', lambda page: ['a', 'b'])
    pairs = {'README.md': 'README_zh-CN.md'}
    first = sections(PAGE, 'README.md', pairs)
    assert first == sections(PAGE.replace('minutes', '分钟'), 'README_zh-CN.md', pairs)
    assert first != sections(PAGE.replace(old, new, 1), 'README_zh-CN.md', pairs)


def test_anchors_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r'README\.md has no heading for #nowhere'):
        sections('# A\n\n[x](#nowhere)\n', 'README.md')
