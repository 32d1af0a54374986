"""HTML pages that need no other file and no network."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape

PAGE_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
       color: #222; background: #fff; }
h1, h2 { line-height: 1.2; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.bar { background: #0072b2; height: .8rem; display: inline-block; min-width: 1px; }
.finding { border-left: .4rem solid #e69f00; padding: .3rem .8rem; margin: .6rem 0;
           background: #fdf6e6; overflow-wrap: anywhere; }
.finding.error { border-color: #d00000; background: #fdecec; }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem; }
figure { margin: 0; }
img { max-width: 100%; height: auto; }
figcaption { font-size: 13px; color: #555; overflow-wrap: anywhere; }
code { background: #f0f0f0; padding: 0 .2rem; }
pre { background: #f0f0f0; padding: .5rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
"""


def document(title: str, parts: Iterable[str]) -> str:
    """A page of parts in HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f'<style>{PAGE_STYLE}</style></head><body>\n' + '\n'.join(parts) + '\n</body></html>\n'
    )


def inline_image(content: bytes, text: str, kind: str = 'png') -> str:
    """An image that lies in the page.

    Args:
        content: Of its file.
        text: What it shows, for those who cannot see it.
        kind: Of the file, such as ``'png'`` or ``'jpeg'``.
    """
    data = b64encode(content).decode()
    return f'<img src="data:image/{kind};base64,{data}" alt="{escape(text, quote=True)}">'


def html_table(rows: Sequence[Mapping[str, str]]) -> str:
    """A table of texts by titles, of which the first column is words and the others numbers."""
    titles = list(rows[0])
    head = ''.join(f'<th>{escape(title)}</th>' for title in titles)
    body = ''.join(
        '<tr>'
        + ''.join(
            f'<td{"" if title == titles[0] else chr(32) + NUMBER}>{escape(row[title])}</td>'
            for title in titles
        )
        + '</tr>'
        for row in rows
    )
    return f'<table><tr>{head}</tr>{body}</table>'


NUMBER = 'class="number"'
