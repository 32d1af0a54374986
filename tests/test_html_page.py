"""HTML pages: texts are escaped, tables can be sorted, pictures lie within."""

import io
from html.parser import HTMLParser

import pytest
from PIL import Image

from repnext_mm.html_page import (
    Markup,
    Number,
    bar,
    figure,
    gallery,
    heading,
    note,
    page,
    paragraph,
    picture,
    table,
)

NASTY = '<script>"&\''


class Reader(HTMLParser):
    """Collects texts, and makes sure that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.attributes += attrs
        if tag not in ('meta', 'img', 'br'):
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.texts.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new('RGB', (3, 2)).save(buffer, kind)
    return buffer.getvalue()


def test_every_text_is_escaped():
    parts = [
        heading(NASTY),
        paragraph(NASTY),
        note(NASTY, 'warning'),
        table([NASTY, 'n'], [(NASTY, Number(1, NASTY))]),
        gallery([figure(encoded('png'), NASTY, NASTY)]),
    ]
    reader = read(page(NASTY, parts))
    assert reader.texts.count(NASTY) == 2 + len(parts) + 2  # title twice; the table has three
    assert ('alt', NASTY) in reader.attributes
    assert '<script>' not in page(NASTY, parts)


def test_numbers_are_sorted_by_their_values():
    text = table(['class', 'AP'], [('a', Number(0.5, '50.0')), ('b', Number(None, '-'))], True)
    assert 'data-value="0.5">50.0<' in text and 'data-value=""></td>' in text
    assert text.count('class="number"') == 3
    assert 'addEventListener' in page('t', [text])
    assert 'addEventListener' not in page('t', [table(['a'], [('b',)])])


def test_markup_stays_as_it_is():
    assert '<p><b>x</b></p>' in page('t', [paragraph(Markup('<b>x</b>'))])
    assert 'width: 8.00rem' in table(['a'], [(bar(0.5),)])


@pytest.mark.parametrize('kind', ['png', 'jpeg'])
def test_pictures_lie_within_the_page(kind):
    assert f'src="data:image/{kind};base64,' in picture(encoded(kind), 'a')


def test_another_file_is_no_picture():
    with pytest.raises(ValueError, match='PNG or JPEG file, got one that begins with'):
        picture(encoded('gif'), 'a')
