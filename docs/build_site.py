"""Builds the documentation as a site, strictly: ``make docs``.

1. :func:`stage` collects the pages of docs/ and of the repository's root in build/docs, with links
   that fit there.
2. Zensical makes HTML of them and refuses links and anchors that lead nowhere.
3. :func:`typeset` makes MathML of the formulas, so that pages need neither scripts nor other hosts.

Needs the packages of requirements/docs.txt. Reading and staging need PyYAML alone.
"""

import html
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml
from notebooks import notebook_page

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ROOT / 'mkdocs.yml'

ROOT_PAGES = {
    'README.md': 'index.md',
    'README_zh-CN.md': 'zh/index.md',
    'CHANGELOG.md': 'changelog.md',
    'CONTRIBUTING.md': 'contributing.md',
    'CODE_OF_CONDUCT.md': 'code_of_conduct.md',
    'SECURITY.md': 'security.md',
}
"""Pages of the repository's root, and their names on the site."""

PARTS = 'docs/results/'
"""Parts of pages, which a script puts together."""

ASSETS = ('.svg', '.png', '.jpg', '.json', '.css')
NOTEBOOK = '.ipynb'
REFERENCE = 'reference/'
LANGUAGES = {'zh/': 'zh-CN'}
"""Of the pages in a folder, where it is not that of mkdocs.yml."""

FENCE = re.compile(r'^(```.*?^```)$', re.MULTILINE | re.DOTALL)
LINK = re.compile(r'(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)')
FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>',
    re.DOTALL,
)
ROLE = re.compile(r':[a-z]+:(?:`|<code>)[^<`]*')
FOREIGN = re.compile(
    r'<(?:script|img|iframe)[^>]*\ssrc="(https?:)?//|<link rel="stylesheet" href="(https?:)?//'
)


class Settings(NamedTuple):
    """What mkdocs.yml says and this script needs."""

    nav: list[str]
    """The pages of the navigation, in order."""

    repository: str | None
    """The address of the repository, without a slash at its end."""

    pages: Path
    """Folder of the staged pages."""

    site: Path
    """Folder of the site."""


def read_settings(path: Path = SETTINGS) -> Settings:
    """Reads mkdocs.yml; tags of Python in it stay unread."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor('tag:yaml.org,2002:python/', lambda *_: None)
    content = yaml.load(path.read_text(encoding='utf-8'), Loader)
    repository = content.get('repo_url')
    return Settings(
        list(nav_pages(content['nav'])),
        repository.rstrip('/') if repository else None,
        ROOT / content['docs_dir'],
        ROOT / content['site_dir'],
    )


def nav_pages(entry: Any) -> Iterator[str]:
    """The pages in a part of the navigation."""
    if isinstance(entry, str):
        yield entry
    else:
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from nav_pages(part)


def written_pages(root: Path = ROOT) -> dict[str, str]:
    """The pages that somebody wrote, and their pictures: place in the repository to place on the site."""
    docs = root / 'docs'
    found = {name: page for name, page in ROOT_PAGES.items() if (root / name).is_file()}
    for path in sorted(docs.rglob('*')):
        name = path.relative_to(root).as_posix()
        if path.suffix in ASSETS or (path.suffix == '.md' and not name.startswith(PARTS)):
            found[name] = path.relative_to(docs).as_posix()
        elif path.suffix == NOTEBOOK:
            found[name] = path.relative_to(docs).with_suffix('.md').as_posix()
    return found


def check_nav(nav: list[str], pages: list[str]) -> None:
    """Compares the navigation with the pages that there are.

    Args:
        nav: Pages of the navigation.
        pages: Pages that were written, by their places on the site.

    Raises:
        ValueError: If a page is not in the navigation, is there twice, or does not exist.
    """
    written = [page for page in nav if not page.startswith(REFERENCE)]
    problems = {
        'not in nav': sorted(set(pages) - set(written)),
        'in nav, but not written': sorted(set(written) - set(pages)),
        'more than once in nav': sorted({page for page in nav if nav.count(page) > 1}),
        'modules that are not there': [page for page in nav if not is_known_module(page)],
    }
    if any(problems.values()):
        told = '; '.join(f'{what}: {", ".join(names)}' for what, names in problems.items() if names)
        raise ValueError(f'nav in {SETTINGS.name} and the pages do not fit: {told}')


def module_of(page: str) -> str:
    """``'reference/repnext_mm.hooks.md'`` is the page of ``'repnext_mm.hooks'``."""
    return page.removeprefix(REFERENCE).removesuffix('.md')


def is_known_module(page: str) -> bool:
    """Whether a page of the reference has its module; others need none."""
    if not page.startswith(REFERENCE):
        return True
    path = ROOT.joinpath(*module_of(page).split('.'))
    return path.with_suffix('.py').is_file() or (path / '__init__.py').is_file()


def stage(settings: Settings) -> None:
    """Writes all pages and pictures to the folder that Zensical reads.

    Raises:
        ValueError: If the navigation or a link does not fit the files.
    """
    places = written_pages()
    check_nav(settings.nav, [page for page in places.values() if page.endswith('.md')])
    shutil.rmtree(settings.pages, ignore_errors=True)
    for source, page in places.items():
        target = settings.pages / page
        target.parent.mkdir(parents=True, exist_ok=True)
        if page.endswith('.md'):
            text = (ROOT / source).read_text(encoding='utf-8')
            known = places
            if source.endswith(NOTEBOOK):
                text = notebook_page(text, target)
                known = places | pictures_of(target, source, settings.pages)
            target.write_text(relink(text, source, known, settings.repository), encoding='utf-8')
        else:
            shutil.copyfile(ROOT / source, target)
    for page in settings.nav:
        if page.startswith(REFERENCE):
            target = settings.pages / page
            target.parent.mkdir(exist_ok=True)
            module = module_of(page)
            target.write_text(f'# {module}\n\n::: {module}\n', encoding='utf-8')


def pictures_of(page: Path, source: str, pages: Path) -> dict[str, str]:
    """The pictures that a notebook's page has, as by :func:`written_pages`.

    Args:
        page: Where the page is staged.
        source: The notebook's place in the repository.
        pages: Folder of all pages.
    """
    folder = PurePosixPath(source).parent
    return {
        (folder / picture.name).as_posix(): picture.relative_to(pages).as_posix()
        for picture in page.parent.glob(f'{page.stem}_*.png')
    }


def relink(text: str, source: str, places: dict[str, str], repository: str | None) -> str:
    """Makes the links of a page fit its place on the site; code stays as it is.

    Args:
        text: The page in Markdown.
        source: Its place in the repository.
        places: As by :func:`written_pages`.
        repository: Address for links to files that are no pages; None for paths instead of links.

    Raises:
        ValueError: If a link leads nowhere.
    """

    def replace(match: re.Match[str]) -> str:
        picture, label, target = match.groups()
        label = LINK.sub(replace, label)
        new = new_target(target, source, places, repository)
        if new is not None:
            return f'{picture}[{label}]({new})'
        path = repository_path(target, source)
        return f'`{path}`' if label.strip('`/') in path else f'{label} (`{path}`)'

    parts = FENCE.split(text)
    parts[::2] = [LINK.sub(replace, part) for part in parts[::2]]
    return ''.join(parts)


def new_target(
    target: str, source: str, places: dict[str, str], repository: str | None
) -> str | None:
    """Where a link leads on the site; None if it can be no link there.

    Raises:
        ValueError: If it leads nowhere.
    """
    if re.match(r'[a-z]+:|#', target):
        return target
    path = repository_path(target, source)
    anchor = target[target.index('#') :] if '#' in target else ''
    if path in places:
        folder = PurePosixPath(places[source]).parent
        return os.path.relpath(places[path], folder).replace(os.sep, '/') + anchor
    if not (ROOT / path).exists():
        raise ValueError(f'{source}: the link to {target!r} leads nowhere; there is no {path}')
    kind = 'tree' if (ROOT / path).is_dir() else 'blob'
    return f'{repository}/{kind}/main/{path}{anchor}' if repository else None


def repository_path(target: str, source: str) -> str:
    """The file that a relative link means, as a path in the repository."""
    joined = PurePosixPath(source).parent / target.partition('#')[0]
    return os.path.normpath(joined).replace(os.sep, '/')


def typeset(page: str, convert: Callable[..., str]) -> str:
    """Replaces the formulas of an HTML page.

    Args:
        page: HTML in which Arithmatex has marked formulas.
        convert: Makes MathML of LaTeX; ``display`` says whether it has a line of its own.
    """

    def replace(match: re.Match[str]) -> str:
        display = 'block' if match[1] == 'div' else 'inline'
        return convert(html.unescape(match[2]).strip(), display=display)

    return FORMULA.sub(replace, page)


def finish(settings: Settings) -> None:
    """Typesets all pages, and makes sure that none needs another host or says nothing.

    Raises:
        ValueError: If a page loads something from elsewhere, or one of the reference is empty or
            not all Markdown.
    """
    from latex2mathml.converter import convert

    for path in settings.site.rglob('*.html'):
        text = typeset(path.read_text(encoding='utf-8'), convert)
        if foreign := FOREIGN.search(text):
            raise ValueError(f'{path} loads something from another host: {foreign[0]}')
        place = path.relative_to(settings.site).as_posix()
        for folder, language in LANGUAGES.items():
            if place.startswith(folder):
                text = text.replace('<html lang="en"', f'<html lang="{language}"', 1)
        path.write_text(text, encoding='utf-8')
    for page in settings.nav:
        if page.startswith(REFERENCE):
            text = (settings.site / page.removesuffix('.md') / 'index.html').read_text('utf-8')
            if role := ROLE.search(text):
                raise ValueError(f'{page} shows a mark of reStructuredText: {role[0]}')
            if f'id="{module_of(page)}.' not in text:
                raise ValueError(f'{page} is empty: {module_of(page)} has nothing with a docstring')


def main() -> None:
    """Builds the site; ends with an error if anything in it leads nowhere."""
    settings = read_settings()
    stage(settings)
    command = [sys.executable, '-m', 'zensical', 'build', '--clean', '--strict']
    shutil.rmtree(settings.site, ignore_errors=True)
    subprocess.run([*command, '--config-file', SETTINGS], cwd=ROOT, check=True)
    finish(settings)
    print(f'{settings.site}/index.html')


if __name__ == '__main__':
    main()
