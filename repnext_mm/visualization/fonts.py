"""A font that has the letters of all class names."""

import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import cast

from PIL import ImageFont

USUAL_FONT = 'DejaVu Sans'
"""matplotlib's own, with Latin, Greek, Cyrillic, Arabic and more, but no Chinese, Japanese or Korean."""

PLACEHOLDERS = ('Last Resort',)
"""Beginnings of the names of fonts that have a box for every letter."""

Font = ImageFont.FreeTypeFont


def font_for(texts: Iterable[str], size: int) -> Font:
    """The usual font, or one of this machine's that has all letters of some texts.

    Args:
        texts: What will be written.
        size: In pixels.
    """
    path = font_file(letters_of(texts))
    if path is None:  # without matplotlib; Pillow's own has fewer letters
        return cast(Font, ImageFont.load_default(size))
    return ImageFont.truetype(path, size)


def letters_of(texts: Iterable[str]) -> frozenset[str]:
    """The visible characters of texts."""
    return frozenset(letter for text in texts for letter in text if letter.isprintable())


@lru_cache
def font_file(letters: frozenset[str]) -> str | None:
    """The file of the first installed font that has some letters; the usual one comes first.

    Warns if none has them: pictures then have boxes in their places.

    Returns:
        None if matplotlib, which brings fonts, is not installed.
    """
    try:
        from matplotlib import font_manager
    except ImportError:
        return None
    usual = font_manager.findfont(USUAL_FONT)
    if not missing_in(usual, letters):
        return usual
    fonts = font_manager.fontManager.ttflist
    upright = [font for font in fonts if font.style == 'normal' and font.weight in (400, 'normal')]
    for font in sorted(upright, key=lambda font: font.name):
        if font.name.startswith(PLACEHOLDERS):
            continue
        if not missing_in(font.fname, letters):
            return font.fname
    warnings.warn(unreadable(missing_in(usual, letters)), stacklevel=2)
    return usual


def missing_in(path: str, letters: Iterable[str]) -> str:
    """The letters that a font file lacks, in order; all if it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        known = FT2Font(path).get_charmap()
    except (OSError, RuntimeError):
        known = {}
    return ''.join(sorted(letter for letter in letters if ord(letter) not in known))


def unreadable(letters: str) -> str:
    """The warning about letters that no installed font has."""
    return (
        f'no installed font has all letters of the class names, so pictures will have boxes for '
        f'some of {letters[:20]!r}. Install one that has them, such as Noto Sans CJK (on Debian: '
        'fonts-noto-cjk), remove the folder that matplotlib.get_cachedir() names, and start again'
    )


def use_readable_font(texts: Iterable[str]) -> None:
    """Makes matplotlib, with which OpenMMLab's visualizers write, use such a font beside the usual one."""
    path = font_file(letters_of(texts))
    if path is None:
        return
    import matplotlib
    from matplotlib import font_manager

    name = font_manager.FontProperties(fname=path).get_name()
    matplotlib.rcParams['font.sans-serif'] = list(dict.fromkeys([name, USUAL_FONT]))
