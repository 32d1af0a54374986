"""Draws which checkpoints load into which forms: ``python docs/draw_loading.py``.

Needs Python alone, and writes docs/loading.svg.
"""

from drawing import (
    ACTIVATION,
    CARRIED,
    DEPTHWISE,
    INK,
    POINTWISE,
    SOFT,
    Drawing,
    Paint,
    write,
)

FILES = (
    ('official .pth of RepNeXt-M', 'model'),
    ('.pth.tar of timm’s script', 'state_dict_ema or state_dict'),
    ('mmdet 2.x, mmseg 0.x', 'state_dict'),
    ('mmengine', 'state_dict'),
    ('state_dict() of a backbone', 'the whole file'),
    ('.safetensors', 'the whole file'),
)
"""Kinds of files, and where in them the weights are."""

FORMS: dict[str, tuple[float, Paint]] = {
    'training': (138, DEPTHWISE),
    'fused': (248, POINTWISE),
    'plain': (358, ACTIVATION),
}
"""Forms of weights, with the middle of each on the way down, and its colours."""

MERGES = (('training', 'fused'), ('training', 'plain'), ('fused', 'plain'))
"""What is merged while it is loaded."""


def draw() -> Drawing:
    """Files, the loader, the forms of weights, and the forms of models."""
    picture = Drawing(478, 'Which checkpoint files load into which forms of a model')
    for x, text in (
        (150, 'the file'),
        (394, 'is read'),
        (576, 'its weights are'),
        (824, 'the model is'),
    ):
        picture.text(x, 42, text, 16, bold=True)
    draw_files(picture)
    draw_forms(picture)
    picture.line((40, 424), (920, 424), colour='#e5e8eb', arrow=False)
    picture.text(
        40, 453, 'Never back: a merged file has no branches, and an error says so. Nothing loads in part '
        'unless allow_partial_load=True.', 12.5, SOFT, 'start',
    )  # fmt: skip
    return picture


def draw_files(picture: Drawing) -> None:
    """The kinds of files, and the loader that they all pass."""
    for number, (name, place) in enumerate(FILES):
        y = 70 + number * 56
        picture.box(40, y, 220, 44, CARRIED)
        picture.text(150, y + 19, name, 13)
        picture.text(150, y + 35, place, 12, SOFT)
        picture.curve((260, y + 22), (330, 248 + (number - 2.5) * 14), arrow=False)
    picture.box(330, 186, 128, 124, CARRIED)
    for number, line in enumerate(('mmengine’s', 'loader, as data', 'only; old names', 'renamed')):
        picture.text(394, 222 + number * 19, line, 13)


def draw_forms(picture: Drawing) -> None:
    """From each form of weights to each form of model that they can become."""
    for form, (y, paint) in FORMS.items():
        picture.curve((458, 248 + (y - 248) * 0.12), (516, y))
        picture.box(516, y - 27, 120, 54, paint, form, size=15)
        picture.box(744, y - 27, 160, 54, paint, form, size=15)
        picture.line((636, y), (744, y), colour=INK, width=2)
    for source, target in MERGES:
        start, end = FORMS[source][0], FORMS[target][0]
        picture.curve((636, start + 14), (744, end - 14), colour=POINTWISE.line)
    picture.text(690, FORMS['training'][0] - 7, 'as they are', 12, SOFT)
    picture.text(701, 187, 'merged', 12, POINTWISE.line, 'start')
    picture.text(824, 405, 'of RepNeXt-T alone', 12, SOFT)
    picture.text(824, 98, 'trains', 12, SOFT)


PICTURES = {'loading.svg': draw}

if __name__ == '__main__':
    write((name, draw()) for name, draw in PICTURES.items())
