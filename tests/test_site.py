"""The documentation as a site: its pages and links, without building it (make docs does that)."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLACES = {'README.md': 'index.md', 'docs/a.md': 'a.md', 'docs/deep/b.md': 'deep/b.md'}


@pytest.fixture(scope='module')
def site():
    """The script that builds the site."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'docs'))
        import build_site

        yield build_site
    for name in ('build_site', 'notebooks'):
        sys.modules.pop(name, None)


def test_navigation_names_every_page_once_and_all_links_lead_somewhere(site, tmp_path):
    settings = site.read_settings()._replace(pages=tmp_path / 'pages')
    site.stage(settings)
    staged = {path.relative_to(settings.pages).as_posix() for path in settings.pages.rglob('*.md')}
    assert staged == set(settings.nav) and len(staged) > 30
    documents = {path.name for path in (ROOT / 'docs').glob('*.md')}
    assert documents < staged and {'index.md', 'zh/index.md', 'notebooks/merging.md'} < staged
    assert '](own_data.md' in (settings.pages / 'index.md').read_text()
    assert '](detector.md' in (settings.pages / 'zh' / 'index.md').read_text()
    assert '](../notebooks/detector.md' in (settings.pages / 'zh' / 'detector.md').read_text()
    pictures = (settings.pages / 'notebooks').glob('merging_*.png')
    assert len(list(pictures)) > 5
    assert (settings.pages / 'rooms.svg').is_file()


@pytest.mark.parametrize(
    ('nav', 'message'),
    [
        (['a.md'], 'not in nav: b.md'),
        (['a.md', 'b.md', 'c.md'], 'in nav, but not written: c.md'),
        (['a.md', 'b.md', 'b.md'], 'more than once in nav: b.md'),
        (['a.md', 'b.md', 'reference/repnext_mm.nothing.md'], 'not there: reference/repnext_mm.n'),
    ],
)
def test_navigation_that_does_not_fit_the_pages_is_refused(nav, message, site):
    with pytest.raises(ValueError, match=message):
        site.check_nav(nav, ['a.md', 'b.md'])


@pytest.mark.parametrize(
    ('source', 'text', 'expected'),
    [
        ('README.md', '[x](docs/a.md#part)', '[x](a.md#part)'),
        ('docs/deep/b.md', '![x](../a.md) [y](#here)', '![x](../a.md) [y](#here)'),
        ('docs/a.md', '[home](../README.md), [b](deep/b.md)', '[home](index.md), [b](deep/b.md)'),
        ('docs/a.md', '[web](https://x.y/z)', '[web](https://x.y/z)'),
        ('docs/a.md', '[the tools](../tools)', '[the tools](https://host/tree/main/tools)'),
        ('docs/a.md', '[`setup.py`](../setup.py)', '[`setup.py`](https://host/blob/main/setup.py)'),
        ('docs/a.md', '```\n[x](nowhere)\n```', '```\n[x](nowhere)\n```'),
    ],
)
def test_links_fit_their_place_on_the_site(source, text, expected, site):
    assert site.relink(text, source, PLACES, 'https://host') == expected


def test_links_to_files_become_paths_where_no_repository_is_known(site):
    text = 'See [setup.py](../setup.py), [these](../tools).'
    expected = 'See `setup.py`, these (`tools`).'
    assert site.relink(text, 'docs/a.md', PLACES, None) == expected


def test_links_that_lead_nowhere_are_refused(site):
    with pytest.raises(ValueError, match=r"docs/a.md: the link to '../no.py' leads nowhere"):
        site.relink('[x](../no.py)', 'docs/a.md', PLACES, None)


def test_formulas_are_typeset_inside_text_and_alone(site):
    page = (
        '<p><span class="arithmatex">\\(a &lt; b\\)</span></p>'
        '<div class="arithmatex">\\[\nc\n\\]</div><code>\\(d\\)</code>'
    )
    made = site.typeset(page, lambda formula, display: f'{display}:{formula}')
    assert made == '<p>inline:a < b</p>block:c<code>\\(d\\)</code>'
