"""Class names of any script are written readably, or it is said that they are not."""

import matplotlib
import pytest
from matplotlib import font_manager

from repnext_mm.visualization import fonts
from repnext_mm.visualization.fonts import (
    font_file,
    font_for,
    letters_of,
    missing_in,
    use_readable_font,
)

USUAL = font_manager.findfont('DejaVu Sans')


@pytest.fixture(autouse=True)
def fresh():
    font_file.cache_clear()
    with matplotlib.rc_context():
        yield
    font_file.cache_clear()


def rare_letter() -> str:
    """One that the usual font lacks and another of matplotlib's own has."""
    stix = font_manager.findfont('STIXGeneral')
    candidates = (chr(code) for code in range(0x1D400, 0x1D800))
    return next(c for c in candidates if missing_in(USUAL, c) and not missing_in(stix, c))


@pytest.mark.parametrize('name', ['screw', 'Größe', 'гайка', 'βίδα'])
def test_usual_names_are_written_in_the_usual_font(name):
    assert font_file(letters_of([name, 'nut'])) == USUAL
    assert font_for([name], 12).path == USUAL


def test_a_font_that_has_the_letters_is_found():
    letter = rare_letter()
    path = font_file(letters_of([f'set {letter}', 'nut']))
    assert path != USUAL and missing_in(path, f'set {letter}nut') == ''
    use_readable_font([letter])
    name = font_manager.FontProperties(fname=path).get_name()
    assert matplotlib.rcParams['font.sans-serif'] == [name, 'DejaVu Sans']


def test_letters_that_no_font_has_are_said(monkeypatch):
    only = [font for font in font_manager.fontManager.ttflist if font.name == 'DejaVu Sans']
    monkeypatch.setattr(font_manager.fontManager, 'ttflist', only)
    with pytest.warns(UserWarning, match=r"'丝母螺'.*Noto Sans CJK"):
        assert font_file(letters_of(['螺丝', '螺母'])) == USUAL


def test_a_font_of_boxes_does_not_count(monkeypatch):
    def missing(path: str, letters) -> str:
        return '' if 'LastResort' in path else '螺'

    monkeypatch.setattr(fonts, 'missing_in', missing)
    with pytest.warns(UserWarning, match='no installed font'):
        font_file(frozenset('螺'))
