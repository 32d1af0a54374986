"""Settings that follow from facts of a data set and a machine, each with its reason: pure functions."""

import math
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from repnext_mm.own_data.look import InstanceFacts
from repnext_mm.own_data.look_at_images import ClassFolderFacts, LabelMapFacts

STEP = 32
"""Image sizes are multiples of it, the stride of the coarsest feature map."""

LONGEST_SIDE = {True: 1024, False: 320}
"""Pixels of an image, with a GPU and without."""

CROP = {True: 512, False: 192}
"""Largest side of crops of label maps, likewise."""

SMALLEST_OBJECT = 8
"""Pixels; what is smaller has about one cell on the finest feature map."""

BATCH_PIXELS = 16 * 512 * 512
"""Of a batch on a GPU."""

CPU_PIXELS = 3e8
"""Pixels that are trained on without a GPU, over all iterations."""

EPOCHS = 36
"""At 1,000 training images; with the square root fewer of more images, and more of fewer."""

FEWEST_EPOCHS = 12
VALIDATIONS = 4
COUNTED_BY_COCO = 100
"""Objects of an image that count in the headline AP of pycocotools."""

RARE = 50
"""How many times more pixels the commonest class has, from which on weights are worth a try."""


class Setting(NamedTuple):
    """A setting, and why."""

    value: Any
    because: str


class Recipe(NamedTuple):
    """What a template says of its optimizer."""

    learning_rate: float
    batch: int
    """Images for which the rate is meant."""


@dataclass(frozen=True)
class TrainingPlan:
    """Settings of every task."""

    image_side: Setting
    """The longer side, in pixels, that images are resized to."""

    batch: Setting
    learning_rate: Setting
    iterations: Setting
    test_split: Setting

    def lines(self) -> list[str]:
        """A sentence for each setting."""
        choices = {row.name: getattr(self, row.name) for row in fields(self)}
        return [
            f'{name.replace("_", " ")} = {choice.value}, because {choice.because}'
            for name, choice in choices.items()
        ]


@dataclass(frozen=True)
class InstancePlan(TrainingPlan):
    """Settings of detectors."""

    masks: Setting
    """Whether there is a mask head."""

    anchor_scale: Setting
    """Side of the anchors in strides of their feature map."""

    anchor_ratios: Setting
    max_per_image: Setting
    regions: Setting
    """Sampled in training, of each image."""


@dataclass(frozen=True)
class LabelMapPlan(TrainingPlan):
    """Settings of segmentors."""

    crop: Setting
    """Side of the squares that are trained on."""

    class_weights: Setting
    """One for each class, or None."""


@dataclass(frozen=True)
class ClassifierPlan(TrainingPlan):
    """Settings of classifiers."""

    top: Setting
    """Ranks for the accuracy."""


def suggest_for_instances(facts: InstanceFacts, recipe: Recipe, gpu: bool) -> InstancePlan:
    """Settings for a detector."""
    smallest = float(np.quantile(facts.object_sizes, 0.1))
    side = image_side(facts.image_sizes, gpu, smallest)
    shape = facts.image_sizes.mean(0)
    pixels = side.value**2 * shape.min() / shape.max()
    common = _common(facts, recipe, gpu, side, pixels)
    low, high = np.quantile(facts.object_sizes, [0.05, 0.95]) * side.value
    most, usual = int(facts.per_image.max()), float(np.quantile(facts.per_image, 0.9))
    wanted = _rounded(1.5 * most, (100, 200, 300, 500, 1000, 2000))
    limited = ''
    if most > COUNTED_BY_COCO:
        limited = f"; AP counts up to {wanted}, where COCO's counts the 100 most certain ones"
    return InstancePlan(
        **common,
        masks=Setting(
            facts.with_masks,
            'every object has a segmentation'
            if facts.with_masks
            else 'some objects have a box alone',
        ),
        anchor_scale=anchor_scale(low, high),
        anchor_ratios=anchor_ratios(facts.aspects),
        max_per_image=Setting(wanted, f'an image has up to {most} objects{limited}'),
        regions=Setting(
            _rounded(4 * usual, (64, 128, 256, 512)),
            f'nine in ten images have at most {usual:.0f} objects, and a quarter of the regions '
            'should be objects',
        ),
    )


def suggest_for_label_maps(
    facts: LabelMapFacts, recipe: Recipe, gpu: bool, weighted: bool = False
) -> LabelMapPlan:
    """Settings for a segmentor; class weights only if they are asked for."""
    side = image_side(facts.image_sizes, gpu)
    shape = facts.image_sizes.mean(0)
    short = side.value * shape.min() / shape.max()
    crop = int(min(CROP[gpu], max(STEP, short // STEP * STEP)))
    common = _common(facts, recipe, gpu, side, crop**2)
    return LabelMapPlan(
        **common,
        crop=Setting(
            crop,
            f'the shorter side is {short:.0f} pixels after resizing, and crops are at most {CROP[gpu]} '
            f'{"on a GPU" if gpu else "without a GPU"}',
        ),
        class_weights=class_weights(facts, weighted),
    )


def suggest_for_classes(facts: ClassFolderFacts, recipe: Recipe, gpu: bool) -> ClassifierPlan:
    """Settings for a classifier."""
    side = image_side(facts.image_sizes, gpu, largest=224)
    top = (1, 5) if len(facts.classes) > 5 else (1,)
    return ClassifierPlan(
        **_common(facts, recipe, gpu, side, side.value**2),
        top=Setting(top, f'there are {len(facts.classes)} classes'),
    )


def image_side(
    sizes: np.ndarray, gpu: bool, smallest: float | None = None, largest: int | None = None
) -> Setting:
    """The longer side of images as a network gets them.

    Args:
        sizes: ``(N, 2)``, heights and widths.
        gpu: Whether there is one.
        smallest: Size of small objects, divided by the longer side of their images.
        largest: Another upper limit than :data:`LONGEST_SIDE`.
    """
    usual = float(np.median(sizes.max(1)))
    limit = min(largest or LONGEST_SIDE[gpu], LONGEST_SIDE[gpu])
    side = STEP * max(1, round(min(usual, limit) / STEP))
    because = f'the longer side of half of the images is at least {usual:.0f} pixels'
    if usual > limit:
        because += (
            f', and more than {limit} would take long {"" if gpu else "without a GPU"}'.rstrip()
        )
    if smallest is not None and smallest * side < SMALLEST_OBJECT and usual > side + STEP:
        because += (
            f'; a tenth of the objects is then smaller than {smallest * side:.1f} pixels, too small to '
            f"find: 'tools/convert_dataset.py --tile {limit}' cuts images instead of shrinking them"
        )
    return Setting(side, because)


def anchor_scale(low: float, high: float) -> Setting:
    """The side of anchors in strides, which are 4, 8, 16, 32 and 64.

    Anchors double from level to level, so each object has one that is at most 1.4 times larger or
    smaller, between 0.7 of the smallest and 1.4 of the largest.

    Args:
        low: Size that one in twenty objects does not reach, in pixels.
        high: Size that one in twenty exceeds.
    """
    wanted = max(low * math.sqrt(2) / 4, high / math.sqrt(2) / 64)
    scale = min((1, 2, 3, 4, 6, 8, 12), key=lambda value: abs(math.log(value / wanted)))
    return Setting(
        scale,
        f'nine in ten objects have sizes of {low:.0f} to {high:.0f} pixels after resizing, and '
        f'anchors then have {4 * scale} to {64 * scale}',
    )


def anchor_ratios(aspects: np.ndarray) -> Setting:
    """Heights of anchors divided by their widths."""
    low, high = np.quantile(aspects, [0.05, 0.95])
    ratios = [0.5, 1.0, 2.0]
    if low < 1 / 3:
        ratios = [0.25, *ratios]
    if high > 3:
        ratios = [*ratios, 4.0]
    return Setting(
        ratios, f'nine in ten objects are {low:.2g} to {high:.2g} times as high as they are wide'
    )


def class_weights(facts: LabelMapFacts, weighted: bool) -> Setting:
    """Weights of the classes in the loss: the square root of how much rarer they are than the median."""
    present = facts.shares[facts.shares > 0]
    ratio = float(present.max() / present.min())
    if not weighted:
        hint = '; --class-weights turns them on' if ratio > RARE else ''
        return Setting(
            None, f'the commonest class has {ratio:.0f} times the pixels of the rarest{hint}'
        )
    shares = np.maximum(facts.shares, present.min())
    weights = np.sqrt(np.median(present) / shares).clip(0.3, 3.0)
    weights = [round(float(weight), 2) for weight in weights / weights.mean()]
    return Setting(weights, f'the commonest class has {ratio:.0f} times the pixels of the rarest')


def _common(
    facts: InstanceFacts | LabelMapFacts | ClassFolderFacts,
    recipe: Recipe,
    gpu: bool,
    side: Setting,
    pixels: float,
) -> dict[str, Setting]:
    """The settings that every task has.

    Args:
        facts: Of the data.
        recipe: Of the template.
        gpu: Whether there is one.
        side: Of the images.
        pixels: Of an image in training.
    """
    images = facts.splits['train'].size
    batch = _batch(images, recipe, gpu, pixels)
    rate = recipe.learning_rate * math.sqrt(batch.value / recipe.batch)
    return dict(
        image_side=side,
        batch=batch,
        learning_rate=Setting(
            float(f'{rate:.2g}'),
            f'the recipe has {recipe.learning_rate:g} for {recipe.batch} images, and for AdamW it goes '
            'with the square root of the batch',
        ),
        iterations=_iterations(images, batch.value, gpu, pixels),
        test_split=Setting('test', f'the data set has one, of {facts.splits["test"].size} images')
        if 'test' in facts.splits
        else Setting(
            'val', 'there is no test split: numbers of these images favour the best checkpoint'
        ),
    )


def _batch(images: int, recipe: Recipe, gpu: bool, pixels: float) -> Setting:
    if gpu:
        fitting = 2 ** int(math.log2(max(2, min(64, BATCH_PIXELS / pixels))))
        because = f'images have about {round(pixels / 1000):,} thousand pixels in training'
    else:
        fitting = recipe.batch
        because = 'the recipe was tried with it on processors'
    if images < 4 * fitting:
        fitting = max(2, images // 4)
        because = f'there are but {images} images'
    return Setting(fitting, because)


def _iterations(images: int, batch: int, gpu: bool, pixels: float) -> Setting:
    epochs = max(FEWEST_EPOCHS, EPOCHS * math.sqrt(1000 / images))
    wanted = epochs * images / batch
    because = f'{images:,} images are seen {epochs:.0f} times, the more often the fewer there are'
    affordable = CPU_PIXELS / (batch * pixels)
    if not gpu and wanted > affordable:
        wanted = affordable
        seen = wanted * batch / images
        because = (
            f'there is no GPU: every image is seen {seen:.1f} times, and {epochs:.0f} times would be '
            'better'
        )
    return Setting(VALIDATIONS * max(5, round(wanted / VALIDATIONS)), because)


def _rounded(value: float, steps: tuple[int, ...]) -> int:
    """The first step that is not less, or the last one."""
    return next((step for step in steps if step >= value), steps[-1])
