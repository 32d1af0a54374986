"""Draws what ReparameterizeHook does in a run, and when: ``python docs/draw_timeline.py``.

Needs Python alone, and writes docs/timeline.svg.
"""

from drawing import (
    ACTIVATION,
    CARRIED,
    DEPTHWISE,
    INK,
    NORM,
    PLAIN,
    POINTWISE,
    SOFT,
    Drawing,
    Paint,
    write,
)

LEFT = 150
TRAIN, SAVE, VAL, AGAIN, TEST = (150, 326), (340, 424), (438, 538), (552, 600), (614, 920)
"""Where each part of the run begins and ends on the way to the right."""

LANES = {'runner.model': 116, 'trained weights': 196, 'average (EMA)': 266, 'merged copy': 336}
CHECKPOINT = 414


def draw() -> Drawing:
    """The run of a Runner with EMAHook, CheckpointHook and ReparameterizeHook."""
    picture = Drawing(520, 'When ReparameterizeHook makes, checks, uses and drops a merged copy')
    draw_phases(picture)
    for name, y in LANES.items():
        picture.text(LEFT - 14, y + 20, name, 13, anchor='end', bold=name == 'runner.model')
    picture.text(LEFT - 14, CHECKPOINT + 22, 'checkpoint', 13, anchor='end')
    draw_training(picture)
    draw_validation(picture)
    draw_test(picture)
    picture.line((40, 472), (920, 472), colour='#e5e8eb', arrow=False)
    picture.legend(
        498,
        {
            'training form': DEPTHWISE,
            'training form, averaged': POINTWISE,
            'merged': ACTIVATION,
            'rests, bit by bit as it is': CARRIED,
        },
    )
    return picture


def draw_phases(picture: Drawing) -> None:
    """The parts of the run, from left to right."""
    names = {
        'train': TRAIN,
        'save': SAVE,
        'validate': VAL,
        '…': AGAIN,
        'test': TEST,
    }
    for name, (start, end) in names.items():
        picture.text((start + end) / 2, 40, name, 16, bold=True)
        picture.line((start, 54), (end, 54), colour=INK, arrow=False, width=2)
    picture.line((TEST[0] + 110, 60), (TEST[0] + 110, 380), colour='#d0d7de', arrow=False)
    picture.text(TEST[0] + 53, 76, 'begin', 12, SOFT)
    picture.text(TEST[0] + 180, 76, 'batches', 12, SOFT)
    picture.text(TEST[1] - 28, 76, 'end', 12, SOFT)


def bar(
    picture: Drawing, lane: str, extent: tuple[float, float], paint: Paint, *lines: str
) -> None:
    """A box in a lane."""
    start, end = extent
    picture.box(start, LANES[lane], end - start, 32, paint, *lines, size=12, radius=5)


def draw_training(picture: Drawing) -> None:
    """Iterations, the average that follows them, and what is saved of both."""
    bar(picture, 'runner.model', TRAIN, DEPTHWISE, 'training form')
    bar(picture, 'trained weights', TRAIN, DEPTHWISE, 'optimizer steps')
    bar(picture, 'average (EMA)', TRAIN, POINTWISE, 'follows each step')
    bar(picture, 'runner.model', SAVE, DEPTHWISE, '')
    bar(picture, 'trained weights', SAVE, CARRIED, '')
    bar(picture, 'average (EMA)', SAVE, CARRIED, '')
    middle = (SAVE[0] + SAVE[1]) / 2
    for lane, shift in (('trained weights', -14), ('average (EMA)', 14)):
        picture.line((middle + shift, LANES[lane] + 32), (middle + shift, CHECKPOINT))
    picture.box(
        SAVE[0] - 22, CHECKPOINT, 128, 40, NORM, 'training form', 'and its average', size=12
    )


def draw_validation(picture: Drawing) -> None:
    """The average in the model's place, as without the hook."""
    bar(picture, 'runner.model', VAL, POINTWISE, 'average')
    bar(picture, 'trained weights', VAL, CARRIED, '')
    bar(picture, 'average (EMA)', VAL, CARRIED, '')
    middle = (VAL[0] + VAL[1]) / 2
    picture.line(
        (middle, LANES['average (EMA)']), (middle, LANES['runner.model'] + 32), dashed=True
    )
    picture.text(middle, LANES['merged copy'] + 14, 'with val=True', 12, SOFT)
    picture.text(middle, LANES['merged copy'] + 29, 'as in a test', 12, SOFT)
    for lane in list(LANES)[:3]:
        picture.text((AGAIN[0] + AGAIN[1]) / 2, LANES[lane] + 21, '…', 15, SOFT)


def draw_test(picture: Drawing) -> None:
    """The copy: made, compared, used batch by batch, dropped."""
    start, end = TEST
    first, last = start + 110, end - 56
    bar(picture, 'runner.model', TEST, POINTWISE, '')
    picture.text((start + first) / 2, LANES['runner.model'] + 20, 'average', 12)
    bar(picture, 'trained weights', TEST, CARRIED, '')
    bar(picture, 'average (EMA)', TEST, CARRIED, '')
    bar(picture, 'merged copy', (start + 46, last), ACTIVATION, '')
    picture.text(start + 57, LANES['merged copy'] + 20, 'verify', 12, anchor='start')
    picture.text((first + last) / 2, LANES['merged copy'] + 20, 'stands in', 12)
    for number in range(4):
        x = first + 7 + number * 33
        bar(picture, 'runner.model', (x, x + 25), ACTIVATION, str(number + 1))
        picture.line(
            (x + 12.5, LANES['merged copy']),
            (x + 12.5, LANES['runner.model'] + 32),
            dashed=True,
            colour=ACTIVATION.line,
        )
    picture.line((start + 22, LANES['runner.model'] + 32), (start + 22, 352), (start + 46, 352))
    picture.text(start + 22, 386, 'copy, merge', 12, SOFT)
    picture.text(last + 4, LANES['merged copy'] + 20, 'dropped', 12, SOFT, 'start')
    picture.box(
        start, CHECKPOINT, end - start, 40, PLAIN,
        'verify: both forms on the first batch, in full',
        'precision; above the tolerance it is an error', size=12, dashed=True,
    )  # fmt: skip


PICTURES = {'timeline.svg': draw}

if __name__ == '__main__':
    write((name, draw()) for name, draw in PICTURES.items())
