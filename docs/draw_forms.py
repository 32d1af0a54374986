"""Draws the blocks of RepNeXt-T and RepNeXt-M in their forms: ``python docs/draw_forms.py``.

Needs Python alone, and writes docs/forms_t.svg and docs/forms_m.svg.
"""

from drawing import (
    ACTIVATION,
    CARRIED,
    DEPTHWISE,
    INK,
    NORM,
    POINTWISE,
    SOFT,
    Drawing,
    Paint,
    write,
)

COLOURS = {
    'depthwise convolution': DEPTHWISE,
    'pointwise convolution': POINTWISE,
    'batch norm, s x + t': NORM,
    'activation': ACTIVATION,
}


def heading(picture: Drawing, x: float, form: str, text: str) -> None:
    """The name of a form, and what it is."""
    picture.text(x, 42, form, 18, bold=True)
    picture.text(x, 63, text, 13, SOFT)


def merging(picture: Drawing, start: float, end: float, y: float, word: str) -> None:
    """The arrow from one form to the next."""
    picture.line((start, y), (end, y), colour=INK, width=2.2)
    picture.text((start + end) / 2, y - 9, word, 12.5, SOFT)


def draw_t() -> Drawing:
    """RepNeXt-T's block in three forms."""
    picture = Drawing(590, 'The block of RepNeXt-T in the forms training, fused and plain')
    draw_t_training(picture, middle=232)
    merging(picture, 446, 500, 300, 'merge')
    draw_t_fused(picture, middle=590)
    merging(picture, 684, 738, 300, 'widen')
    draw_t_plain(picture, middle=830)
    picture.line((40, 482), (920, 482), colour='#e5e8eb', arrow=False)
    for x, first, second in (
        (232, 'U(x) = Σᵢ BNᵢ(Wᵢ ∗ x)', 'y = relu(x + W₂ relu(W₁ U(x)))'),
        (590, 'U(x) = W ∗ x + b', 'W = Σᵢ pad₇(sᵢ Wᵢ), b = Σᵢ tᵢ'),
        (830, 'x ≥ 0: relu(x) = x', 'y = relu([W₂ I] relu([W₁ U; x]))'),
    ):
        picture.text(x, 509, first)
        picture.text(x, 532, second)
    picture.legend(570, COLOURS | {'the input, carried on': CARRIED})
    return picture


def draw_t_training(picture: Drawing, middle: float) -> None:
    """Parallel branches, each with its batch norm, and a residual."""
    heading(picture, middle, 'training', 'branches, each with its own batch norm')
    picture.text(middle, 88, 'x', 14, bold=True)
    branches = (('3×3', 'dilation 1'), ('3×3', 'dilation 2'), ('3×3', 'dilation 3'), ('1×1',))
    width, gap = 76, 10
    left = middle - (4 * width + 3 * gap) / 2 - 14
    for number, lines in enumerate(branches):
        x = left + number * (width + gap)
        center = x + width / 2
        picture.line((middle, 94), (middle, 104), (center, 104), (center, 122))
        picture.box(x, 122, width, 44, DEPTHWISE, *lines, size=12.5)
        picture.box(x, 174, width, 26, NORM, 'BN', size=12.5)
        picture.line((center, 200), (center, 216), (middle, 216), (middle, 226))
    picture.add(middle, 235)
    tail(picture, middle, 244, 'C → 4C', '4C → C', residual=middle + 196)


def tail(
    picture: Drawing, middle: float, y: float, expand: str, project: str, residual: float
) -> None:
    """The two pointwise convolutions, and the residual that is added to them."""
    row(picture, middle, y, 270, 34, POINTWISE, f'1×1, {expand}')
    row(picture, middle, 304, 316, 26, ACTIVATION, 'ReLU')
    row(picture, middle, 342, 354, 34, POINTWISE, f'1×1, {project}')
    picture.line((middle, 388), (middle, 401))
    picture.line((middle, 94), (middle, 104), (residual, 104), (residual, 410), (middle + 9, 410))
    picture.add(middle, 410)
    row(picture, middle, 419, 430, 26, ACTIVATION, 'ReLU')
    picture.line((middle, 456), (middle, 476))


def row(
    picture: Drawing,
    middle: float,
    start: float,
    y: float,
    height: float,
    paint: Paint,
    text: str,
    width: float = 128,
) -> None:
    """A box with the line that leads to it."""
    picture.line((middle, start), (middle, y))
    picture.box(middle - width / 2, y, width, height, paint, text, size=12.5)


def draw_t_fused(picture: Drawing, middle: float) -> None:
    """One depthwise convolution in the place of the branches."""
    heading(picture, middle, 'fused', 'one kernel, no batch norm')
    picture.text(middle, 88, 'x', 14, bold=True)
    picture.line((middle, 94), (middle, 122))
    picture.box(middle - 64, 122, 128, 78, DEPTHWISE, '7×7', 'with bias')
    tail(picture, middle, 200, 'C → 4C', '4C → C', residual=middle + 82)


def draw_t_plain(picture: Drawing, middle: float) -> None:
    """Three wider convolutions in a row, on whose last channels the input passes."""
    heading(picture, middle, 'plain', 'no branch, no addition')
    picture.text(middle, 88, 'x', 14, bold=True)
    widened(picture, middle, 94, (122, 78), DEPTHWISE, '7×7', 'C → 2C')
    widened(picture, middle, 200, (270, 34), POINTWISE, '1×1, 2C → 5C')
    widened(picture, middle, 304, (316, 26), ACTIVATION, 'ReLU')
    row(picture, middle, 342, 354, 34, POINTWISE, '1×1, 5C → C', width=160)
    row(picture, middle, 388, 430, 26, ACTIVATION, 'ReLU', width=160)
    picture.line((middle, 456), (middle, 476))


def widened(
    picture: Drawing,
    middle: float,
    start: float,
    extent: tuple[float, float],
    paint: Paint,
    *lines: str,
) -> None:
    """A layer beside whose channels those of the input pass."""
    y, height = extent
    picture.line((middle, start), (middle, y))
    picture.box(middle - 80, y, 124, height, paint, *lines, size=12.5)
    picture.box(middle + 48, y, 32, height, CARRIED, 'x', size=12.5)


def draw_m() -> Drawing:
    """RepNeXt-M's block in two forms."""
    picture = Drawing(672, 'The block of RepNeXt-M in the forms training and fused')
    draw_m_training(picture, middle=326)
    merging(picture, 646, 700, 344, 'merge')
    draw_m_fused(picture, middle=816)
    picture.line((40, 572), (920, 572), colour='#e5e8eb', arrow=False)
    for x, first, second in (
        (326, 'z = [x₁, S(x₂), M(x₃), L(x₄)]', 'y = x + BN₂(W₂ gelu(BN₁(W₁ BN(z))))'),
        (816, 'S, M: Σᵢ pad₇(Wᵢ), Wⱼ = colⱼ rowⱼ', '1×1: s₁ W₁ diag(s), s₁ W₁ t + t₁'),
    ):
        picture.text(x, 597, first)
        picture.text(x, 620, second)
    picture.legend(652, COLOURS)
    return picture


SMALL = (('3×3',), ('1×3',), ('3×1',), ('2×2*',))
MEDIUM = (('7×7',), ('5×3',), ('3×5',), ('1×7', '7×1'), ('1×5', '5×1'))
LARGE = (('1×11', '11×1'),)


def draw_m_training(picture: Drawing, middle: float) -> None:
    """Four quarters of the channels, two of them through parallel branches, and batch norms."""
    heading(picture, middle, 'training', 'a quarter of the channels each way; * has dilation 2')
    picture.text(middle, 88, 'x', 14, bold=True)
    shortcut(picture, middle, 60)
    chunk(picture, middle, 188, 'S', SMALL)
    chunk(picture, middle, 410, 'M', MEDIUM)
    chunk(picture, middle, 572, 'L', LARGE)
    picture.box(40, 300, 572, 22, CARRIED, 'concatenate', size=12.5)
    row(picture, middle, 322, 334, 24, NORM, 'BN')
    row(picture, middle, 358, 370, 30, POINTWISE, '1×1, C → 2C')
    picture.box(middle - 64, 403, 128, 22, NORM, 'BN', size=12.5)
    row(picture, middle, 425, 437, 22, ACTIVATION, 'GELU')
    row(picture, middle, 459, 471, 30, POINTWISE, '1×1, 2C → C')
    picture.box(middle - 64, 504, 128, 22, NORM, 'BN', size=12.5)
    residual(picture, middle, 526, middle + 304)


def draw_m_fused(picture: Drawing, middle: float) -> None:
    """The same with one kernel for S and M, and without batch norms."""
    heading(picture, middle, 'fused', 'S and M in one, no batch norm')
    picture.text(middle, 88, 'x', 14, bold=True)
    shortcut(picture, middle, middle - 76)
    chunk(picture, middle, middle - 8, 'S, M', (('7×7',),), cell=72)
    chunk(picture, middle, middle + 66, 'L', LARGE)
    picture.box(middle - 96, 300, 192, 22, CARRIED, 'concatenate', size=12.5)
    row(picture, middle, 322, 370, 30, POINTWISE, '1×1, C → 2C')
    row(picture, middle, 400, 437, 22, ACTIVATION, 'GELU')
    row(picture, middle, 459, 471, 30, POINTWISE, '1×1, 2C → C')
    residual(picture, middle, 501, middle + 112)


def shortcut(picture: Drawing, middle: float, center: float) -> None:
    """The quarter of the channels that passes as it is."""
    picture.line((middle, 94), (middle, 102), (center, 102), (center, 300))


def residual(picture: Drawing, middle: float, start: float, side: float) -> None:
    """The input, added at the end."""
    picture.line((middle, start), (middle, 536))
    picture.line((middle, 94), (middle, 102), (side, 102), (side, 545), (middle + 9, 545))
    picture.add(middle, 545)
    picture.line((middle, 554), (middle, 567))


def chunk(
    picture: Drawing,
    middle: float,
    center: float,
    label: str,
    branches: tuple[tuple[str, ...], ...],
    cell: float = 41,
    gap: float = 5,
) -> None:
    """The way of some of the channels: branches of one or two convolutions, and their sum."""
    several = len(branches) > 1
    width = len(branches) * (cell + gap) - gap
    picture.text(center + 8, 124, label, 12, SOFT, 'start', bold=True)
    for number, convs in enumerate(branches):
        x = center - width / 2 + number * (cell + gap) + cell / 2
        picture.line((middle, 94), (middle, 102), (center, 102), (center, 136), (x, 136), (x, 154))
        height = 30 if len(convs) > 1 else 74
        for place, conv in enumerate(convs):
            picture.box(x - cell / 2, 154 + 44 * place, cell, height, DEPTHWISE, conv, size=12)
        if len(convs) > 1:
            picture.line((x, 184), (x, 198))
        if several:
            picture.line((x, 228), (x, 242), (center, 242), (center, 254))
    if several:
        picture.add(center, 263)
    picture.line((center, 272 if several else 228), (center, 300))


PICTURES = {'forms_t.svg': draw_t, 'forms_m.svg': draw_m}

if __name__ == '__main__':
    write((name, draw()) for name, draw in PICTURES.items())
