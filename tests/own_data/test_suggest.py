"""Settings follow from the data, and each says why."""

from pathlib import Path

import numpy as np
import pytest

from repnext_mm.datasets.classes_file import with_colours
from repnext_mm.own_data.look import CocoSplit, InstanceFacts
from repnext_mm.own_data.look_at_images import ClassFolderFacts, ImageFolder, LabelMapFacts
from repnext_mm.own_data.suggest import (
    BATCH_PIXELS,
    CPU_PIXELS,
    Recipe,
    anchor_ratios,
    anchor_scale,
    image_side,
    suggest_for_classes,
    suggest_for_instances,
    suggest_for_label_maps,
)

RECIPE = Recipe(2e-3, 4)


def instances(images: int = 1000, side: int = 256, size: float = 0.1, objects: int = 5, **changes):
    splits = dict(train=CocoSplit('a', 'train/', images), val=CocoSplit('b', 'val/', 10))
    facts = dict(
        folder=Path('data'),
        classes=('cell',),
        splits=splits,
        image_sizes=np.full((images, 2), side),
        object_sizes=np.full(images * objects, size),
        aspects=np.ones(images * objects),
        per_image=np.full(images, objects),
        with_masks=True,
        counts=dict(cell=images * objects),
    )
    return InstanceFacts(**(facts | changes))


def label_maps(images: int = 300, size: tuple[int, int] = (180, 240), shares=(0.5, 0.5)):
    return LabelMapFacts(
        Path('data'),
        with_colours([str(number) for number in range(len(shares))]),
        dict(train=ImageFolder('a', images), val=ImageFolder('b', 9), test=ImageFolder('c', 9)),
        '.jpg',
        np.full((images, 2), size),
        np.array(shares),
        0.0,
    )


def test_every_choice_has_a_reason():
    plans = [
        suggest_for_instances(instances(), RECIPE, gpu=False),
        suggest_for_label_maps(label_maps(), RECIPE, gpu=True),
    ]
    for plan in plans:
        for line in plan.lines():
            setting, because = line.split(', because ')
            assert ' = ' in setting and len(because) > 15


@pytest.mark.parametrize(('side', 'gpu', 'expected'), [
    (256, False, 256), (260, True, 256), (900, False, 320), (900, True, 896), (4000, True, 1024),
    (20, True, 32),
])  # fmt: skip
def test_images_keep_their_size_up_to_a_limit(side, gpu, expected):
    choice = image_side(np.full((9, 2), side), gpu)
    assert choice.value == expected
    assert ('would take long' in choice.because) == (side > expected + 32)


def test_objects_that_would_become_too_small_are_told():
    small = image_side(np.full((9, 2), 2000), False, smallest=0.01)
    assert 'smaller than 3.2 pixels' in small.because and '--tile 320' in small.because
    assert '--tile' not in image_side(np.full((9, 2), 2000), False, smallest=0.1).because
    assert '--tile' not in image_side(np.full((9, 2), 256), False, smallest=0.01).because


def test_anchors_reach_from_the_smallest_to_the_largest_objects():
    assert anchor_scale(6, 38).value == 2
    assert anchor_scale(20, 300).value == 8
    assert anchor_scale(4, 800).value == 8  # large ones matter as well
    assert anchor_scale(1, 2).value == 1


def test_anchors_are_long_where_objects_are():
    assert anchor_ratios(np.full(9, 1.5)).value == [0.5, 1.0, 2.0]
    assert anchor_ratios(np.full(9, 5.0)).value == [0.5, 1.0, 2.0, 4.0]
    assert anchor_ratios(np.full(9, 0.2)).value == [0.25, 0.5, 1.0, 2.0]


def test_crowds_get_more_detections_and_regions():
    few = suggest_for_instances(instances(objects=2), RECIPE, gpu=False)
    many = suggest_for_instances(instances(images=100, objects=200), RECIPE, gpu=False)
    assert (few.max_per_image.value, few.regions.value) == (100, 64)
    assert (many.max_per_image.value, many.regions.value) == (300, 512)
    assert 'AP counts up to 300' in many.max_per_image.because
    assert 'counts the 100' not in few.max_per_image.because


def test_boxes_alone_need_no_masks():
    assert suggest_for_instances(instances(), RECIPE, gpu=False).masks.value is True
    assert (
        suggest_for_instances(instances(with_masks=False), RECIPE, gpu=False).masks.value is False
    )


def test_without_a_gpu_the_schedule_is_what_processors_can_do():
    plan = suggest_for_instances(instances(), RECIPE, gpu=False)
    seen = plan.iterations.value * plan.batch.value * 256**2
    assert seen == pytest.approx(CPU_PIXELS, rel=0.01)
    assert 'no GPU' in plan.iterations.because
    small = suggest_for_instances(instances(images=20, side=64), RECIPE, gpu=False)
    assert 'no GPU' not in small.iterations.because


def test_with_a_gpu_the_schedule_follows_from_the_number_of_images():
    thousand = suggest_for_instances(instances(), RECIPE, gpu=True)
    assert thousand.iterations.value * thousand.batch.value / 1000 == pytest.approx(36, rel=0.05)
    more = suggest_for_instances(instances(images=16000), RECIPE, gpu=True)
    assert more.iterations.value * more.batch.value / 16000 == pytest.approx(12, rel=0.05)
    assert thousand.iterations.value % 4 == 0


def test_batches_fill_a_gpu_and_are_small_for_few_images():
    large = suggest_for_instances(instances(side=1024), RECIPE, gpu=True)
    assert large.batch.value * 1024**2 <= BATCH_PIXELS < 2 * large.batch.value * 1024**2
    few = suggest_for_instances(instances(images=12), RECIPE, gpu=True)
    assert few.batch.value == 3 and 'but 12 images' in few.batch.because


def test_rates_go_with_the_root_of_the_batch():
    few = suggest_for_instances(instances(images=4), RECIPE, gpu=False)
    assert few.batch.value == 2 and few.learning_rate.value == pytest.approx(
        2e-3 / 2**0.5, rel=0.02
    )
    assert suggest_for_instances(instances(), RECIPE, gpu=False).learning_rate.value == 2e-3


def test_crops_fit_into_the_images():
    assert suggest_for_label_maps(label_maps(), RECIPE, gpu=False).crop.value == 192
    assert suggest_for_label_maps(label_maps(size=(900, 1200)), RECIPE, gpu=True).crop.value == 512


def test_rare_classes_count_more_if_asked():
    facts = label_maps(shares=(0.9, 0.0995, 0.0005, 0.0))
    plain = suggest_for_label_maps(facts, RECIPE, gpu=False).class_weights
    assert (
        plain.value is None and '--class-weights' in plain.because and '1800 times' in plain.because
    )
    weights = suggest_for_label_maps(facts, RECIPE, gpu=False, weighted=True).class_weights.value
    assert weights[0] < weights[1] < weights[2] == weights[3]
    assert np.mean(weights) == pytest.approx(1, abs=0.01)
    even = suggest_for_label_maps(label_maps(), RECIPE, gpu=False).class_weights
    assert '--class-weights' not in even.because


def test_tests_without_a_split_of_their_own_are_told():
    assert suggest_for_label_maps(label_maps(), RECIPE, gpu=False).test_split.value == 'test'
    choice = suggest_for_instances(instances(), RECIPE, gpu=False).test_split
    assert choice.value == 'val' and 'favour the best checkpoint' in choice.because


@pytest.mark.parametrize(('count', 'top'), [(2, (1,)), (6, (1, 5))])
def test_ranks_of_classifiers_fit_the_classes(count, top):
    splits = dict(train=ImageFolder('a', 100), val=ImageFolder('b', 9))
    classes = tuple(map(str, range(count)))
    facts = ClassFolderFacts(Path('data'), classes, splits, np.full((9, 2), 500))
    plan = suggest_for_classes(facts, Recipe(2e-3, 32), gpu=False)
    assert plan.top.value == top and plan.image_side.value == 224
